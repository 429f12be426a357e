package main

import (
	"fmt"
	"net/netip"
	"sort"

	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// snapshot is everything that the rules are made from.
type snapshot struct {
	// podRange holds the addresses of all pods, also of those that are not known yet.
	podRange string
	// serviceRange holds the addresses of services; before a packet comes to the rules it is a pod's, if the service has one.
	serviceRange string
	pods         []*core.Pod
	namespaces   map[string]labels.Set
	policies     []*networking.NetworkPolicy
}

// target is a pod that packets can go to or come from.
type target struct {
	namespace, name, address string
	labels                   labels.Set
	ports                    []core.ContainerPort
}

// targetsOf leaves out pods that have no address, share the node's, or have ended: the address of such
// a one may be another's already. Sorted, so that the same cluster always gives the same rules.
func targetsOf(pods []*core.Pod) []target {
	var found []target
	for _, pod := range pods {
		ended := pod.Status.Phase == core.PodSucceeded || pod.Status.Phase == core.PodFailed
		address, err := netip.ParseAddr(pod.Status.PodIP)
		if pod.Spec.HostNetwork || ended || err != nil || !address.Is4() {
			continue
		}
		one := target{pod.Namespace, pod.Name, address.String(), pod.Labels, nil}
		for _, container := range pod.Spec.Containers {
			one.ports = append(one.ports, container.Ports...)
		}
		found = append(found, one)
	}
	sort.Slice(found, func(a, b int) bool {
		if found[a].namespace != found[b].namespace {
			return found[a].namespace < found[b].namespace
		}
		return found[a].name < found[b].name
	})
	return found
}

func (one target) numberOf(port string, protocol core.Protocol) (int32, bool) {
	for _, declared := range one.ports {
		if declared.Name == port && (declared.Protocol == protocol || declared.Protocol == "" && protocol == core.ProtocolTCP) {
			return declared.ContainerPort, true
		}
	}
	return 0, false
}

// selected returns the pods of a namespace that a policy governs.
func selected(targets []target, namespace string, selector meta.LabelSelector) ([]target, error) {
	matches, err := meta.LabelSelectorAsSelector(&selector)
	if err != nil {
		return nil, fmt.Errorf("selector in namespace %s: %w", namespace, err)
	}
	var found []target
	for _, one := range targets {
		if one.namespace == namespace && matches.Matches(one.labels) {
			found = append(found, one)
		}
	}
	return found, nil
}

// anywhere as the one entry of a list of ranges means that the address does not matter.
var anywhere = netip.MustParsePrefix("0.0.0.0/0")

// rangesOf returns the addresses that a list of peers stands for, seen from a policy in namespace. A list
// without entries stands for everybody; a block matches the addresses of pods too.
func (s snapshot) rangesOf(peers []networking.NetworkPolicyPeer, namespace string, targets []target) ([]netip.Prefix, error) {
	if len(peers) == 0 {
		return []netip.Prefix{anywhere}, nil
	}
	found := map[netip.Prefix]bool{}
	for _, peer := range peers {
		if peer.IPBlock != nil {
			for _, one := range blockRanges(peer.IPBlock) {
				found[one] = true
			}
			continue
		}
		pods, err := s.podsOf(peer, namespace, targets)
		if err != nil {
			return nil, err
		}
		for _, one := range pods {
			found[netip.PrefixFrom(netip.MustParseAddr(one.address), 32)] = true
		}
	}
	if found[anywhere] {
		return []netip.Prefix{anywhere}, nil
	}
	ranges := make([]netip.Prefix, 0, len(found))
	for one := range found {
		ranges = append(ranges, one)
	}
	sort.Slice(ranges, func(a, b int) bool { return ranges[a].String() < ranges[b].String() })
	return ranges, nil
}

func blockRanges(block *networking.IPBlock) []netip.Prefix {
	base, ok := parseRange(block.CIDR)
	if !ok {
		return nil
	}
	var except []netip.Prefix
	for _, text := range block.Except {
		if hole, ok := parseRange(text); ok {
			except = append(except, hole)
		}
	}
	return without(base, except)
}

func (s snapshot) podsOf(peer networking.NetworkPolicyPeer, namespace string, targets []target) ([]target, error) {
	inNamespace := func(name string) bool { return name == namespace }
	if peer.NamespaceSelector != nil {
		matches, err := meta.LabelSelectorAsSelector(peer.NamespaceSelector)
		if err != nil {
			return nil, err
		}
		inNamespace = func(name string) bool {
			set, known := s.namespaces[name]
			return known && matches.Matches(set)
		}
	}
	isPod := labels.Everything()
	if peer.PodSelector != nil {
		matches, err := meta.LabelSelectorAsSelector(peer.PodSelector)
		if err != nil {
			return nil, err
		}
		isPod = matches
	}
	var found []target
	for _, one := range targets {
		if inNamespace(one.namespace) && isPod.Matches(one.labels) {
			found = append(found, one)
		}
	}
	return found, nil
}
