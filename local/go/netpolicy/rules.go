package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
)

const (
	prefix       = "NETPOL-"
	forwardChain = prefix + "FORWARD"
	ingressChain = prefix + "INGRESS"
)

// ruleset is the text of chains and their rules for iptables-restore, in an order that depends on the cluster alone.
type ruleset struct {
	chains []string
	rules  []string
}

func (r *ruleset) chain(name string) { r.chains = append(r.chains, name) }

func (r *ruleset) add(chain, format string, values ...any) {
	r.rules = append(r.rules, "-A "+chain+" "+fmt.Sprintf(format, values...))
}

// direction is one of the two ways in which a pod can be isolated.
type direction struct {
	kind networking.PolicyType
	// letter tells the chains apart.
	letter string
	// address is the flag that names the other end, own the one that names the governed pod.
	address, own string
	// verdict ends a packet that a policy lets through: what leaves one pod may still have to enter another.
	verdict string
}

var (
	egress  = direction{networking.PolicyTypeEgress, "E", "-d", "-s", "-g " + ingressChain}
	ingress = direction{networking.PolicyTypeIngress, "I", "-s", "-d", "-j ACCEPT"}
)

// build turns a cluster into rules. Every new connection passes the egress rules of the pod it comes from, then
// the ingress rules of the pod it goes to. An address of the pod range that is not known yet may send and get
// nothing: a pod whose policies are not in force is closed, not open.
func build(s snapshot) (ruleset, error) {
	var r ruleset
	targets := targetsOf(s.pods)
	chains := map[direction]map[string][]string{egress: {}, ingress: {}}
	r.chain(forwardChain)
	r.chain(ingressChain)
	for _, way := range []direction{egress, ingress} {
		for _, policy := range sorted(s.policies) {
			if err := addPolicy(&r, s, way, policy, targets, chains[way]); err != nil {
				return ruleset{}, err
			}
		}
	}
	r.add(forwardChain, "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT")
	if s.serviceRange != "" {
		// What still goes to a service has no pod to go to: kube-proxy refuses it after us, which tells a caller more than
		// silence.
		r.add(forwardChain, "-d %s -j ACCEPT", s.serviceRange)
	}
	for _, one := range targets {
		addPod(&r, egress, one, chains[egress][one.address], forwardChain)
		addPod(&r, ingress, one, chains[ingress][one.address], ingressChain)
	}
	r.add(forwardChain, "-s %s -j DROP", s.podRange)
	r.add(forwardChain, "-g %s", ingressChain)
	r.add(ingressChain, "-d %s -j DROP", s.podRange)
	r.add(ingressChain, "-j ACCEPT")
	return r, nil
}

// addPod sends the packets of one pod to the policies that govern it, and drops what none of them lets through.
func addPod(r *ruleset, way direction, one target, policies []string, from string) {
	if len(policies) == 0 {
		r.add(from, "%s %s/32 %s", way.own, one.address, way.verdict)
		return
	}
	// A pod that calls its own service is always let through.
	r.add(from, "-s %s/32 -d %s/32 -j ACCEPT", one.address, one.address)
	name := chainName(way.letter, one.namespace, one.name)
	r.chain(name)
	r.add(from, "%s %s/32 -g %s", way.own, one.address, name)
	for _, policy := range policies {
		r.add(name, "-j %s", policy)
	}
	r.add(name, "-j DROP")
}

// addPolicy writes what one policy allows in one direction, and notes which addresses it governs.
func addPolicy(r *ruleset, s snapshot, way direction, policy *networking.NetworkPolicy, targets []target, governed map[string][]string) error {
	if !concerns(policy, way.kind) {
		return nil
	}
	pods, err := selected(targets, policy.Namespace, policy.Spec.PodSelector)
	if err != nil || len(pods) == 0 {
		return err
	}
	name := chainName("P"+way.letter, policy.Namespace, policy.Name)
	r.chain(name)
	for _, pod := range pods {
		governed[pod.address] = append(governed[pod.address], name)
	}
	for _, rule := range rulesOf(policy, way) {
		ranges, err := s.rangesOf(rule.peers, policy.Namespace, targets)
		if err != nil {
			return fmt.Errorf("policy %s/%s: %w", policy.Namespace, policy.Name, err)
		}
		receivers := pods
		if way == egress {
			receivers = targets
		}
		for _, match := range portMatches(rule.ports, receivers) {
			for _, other := range ranges {
				addMatch(r, way, name, other, match)
			}
		}
	}
	return nil
}

func addMatch(r *ruleset, way direction, chain string, other netip.Prefix, match portMatch) {
	words := []string{}
	if other != anywhere {
		if way == egress && match.receiver != "" && !other.Contains(netip.MustParseAddr(match.receiver)) {
			return
		}
		if way == ingress || match.receiver == "" {
			words = append(words, way.address+" "+other.String())
		}
	}
	if match.receiver != "" {
		words = append(words, "-d "+match.receiver+"/32")
	}
	if match.words != "" {
		words = append(words, match.words)
	}
	r.add(chain, "%s", strings.Join(append(words, way.verdict), " "))
}

// portMatch is one way to meet a list of ports. A name stands for another number in each pod, so it comes with the
// address of the pod that listens.
type portMatch struct {
	words    string
	receiver string
}

// portMatches leaves SCTP out, which the kernel of a small machine often lacks: it stays denied.
func portMatches(ports []networking.NetworkPolicyPort, receivers []target) []portMatch {
	if len(ports) == 0 {
		return []portMatch{{}}
	}
	var found []portMatch
	for _, port := range ports {
		protocol := core.ProtocolTCP
		if port.Protocol != nil {
			protocol = *port.Protocol
		}
		if protocol != core.ProtocolTCP && protocol != core.ProtocolUDP {
			continue
		}
		name := strings.ToLower(string(protocol))
		switch {
		case port.Port == nil:
			found = append(found, portMatch{words: "-p " + name})
		case port.Port.StrVal != "":
			for _, pod := range receivers {
				if number, ok := pod.numberOf(port.Port.StrVal, protocol); ok {
					words := fmt.Sprintf("-p %s --dport %d", name, number)
					found = append(found, portMatch{words, pod.address})
				}
			}
		case port.EndPort != nil:
			found = append(found, portMatch{words: fmt.Sprintf("-p %s --dport %d:%d", name, port.Port.IntVal, *port.EndPort)})
		default:
			found = append(found, portMatch{words: fmt.Sprintf("-p %s --dport %d", name, port.Port.IntVal)})
		}
	}
	return found
}

type allowed struct {
	peers []networking.NetworkPolicyPeer
	ports []networking.NetworkPolicyPort
}

func rulesOf(policy *networking.NetworkPolicy, way direction) []allowed {
	var found []allowed
	if way == egress {
		for _, rule := range policy.Spec.Egress {
			found = append(found, allowed{rule.To, rule.Ports})
		}
		return found
	}
	for _, rule := range policy.Spec.Ingress {
		found = append(found, allowed{rule.From, rule.Ports})
	}
	return found
}

// concerns follows the API: without policyTypes a policy is about ingress, and about egress when it has such rules.
func concerns(policy *networking.NetworkPolicy, kind networking.PolicyType) bool {
	if len(policy.Spec.PolicyTypes) == 0 {
		return kind == networking.PolicyTypeIngress || len(policy.Spec.Egress) > 0
	}
	return slices.Contains(policy.Spec.PolicyTypes, kind)
}

func sorted(policies []*networking.NetworkPolicy) []*networking.NetworkPolicy {
	return slices.SortedFunc(slices.Values(policies), func(a, b *networking.NetworkPolicy) int {
		return strings.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name)
	})
}

// chainName fits any name into the 28 characters that a chain may have.
func chainName(kind, namespace, name string) string {
	sum := sha256.Sum256([]byte(namespace + "/" + name))
	return prefix + kind + "-" + hex.EncodeToString(sum[:])[:16]
}
