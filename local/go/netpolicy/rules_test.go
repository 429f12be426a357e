package main

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func prefixes(texts ...string) []netip.Prefix {
	var found []netip.Prefix
	for _, text := range texts {
		found = append(found, netip.MustParsePrefix(text))
	}
	return found
}

func TestWithoutLeavesExactlyTheRest(t *testing.T) {
	base := netip.MustParsePrefix("10.0.0.0/22")
	for _, except := range [][]netip.Prefix{
		nil, prefixes("10.0.1.0/24"), prefixes("10.0.0.7/32", "10.0.2.0/25"), prefixes("10.0.0.0/8"), prefixes("192.168.0.0/16"),
	} {
		ranges := without(base, except)
		for address := base.Addr(); base.Contains(address); address = address.Next() {
			holds := func(one netip.Prefix) bool { return one.Contains(address) }
			wanted := !slices.ContainsFunc(except, holds)
			if slices.ContainsFunc(ranges, holds) != wanted {
				t.Fatalf("%s without %v: %s should be in: %v", base, except, address, wanted)
			}
		}
	}
}

func pod(namespace, name, address string, ports ...core.ContainerPort) *core.Pod {
	return &core.Pod{
		ObjectMeta: meta.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{"app": name}},
		Spec:       core.PodSpec{Containers: []core.Container{{Ports: ports}}},
		Status:     core.PodStatus{PodIP: address, Phase: core.PodRunning},
	}
}

func policyFor(app string, spec networking.NetworkPolicySpec) *networking.NetworkPolicy {
	spec.PodSelector = meta.LabelSelector{MatchLabels: map[string]string{"app": app}}
	return &networking.NetworkPolicy{ObjectMeta: meta.ObjectMeta{Namespace: "red", Name: app}, Spec: spec}
}

func cluster(policies ...*networking.NetworkPolicy) snapshot {
	return snapshot{
		podRange: "10.0.0.0/8", serviceRange: "172.20.0.0/16",
		pods: []*core.Pod{
			pod("red", "server", "10.0.0.1", core.ContainerPort{Name: "http", ContainerPort: 8080}),
			pod("red", "friend", "10.0.0.2", core.ContainerPort{Name: "http", ContainerPort: 9090}),
			pod("blue", "stranger", "10.0.0.3"),
		},
		namespaces: map[string]labels.Set{"red": {"team": "red"}, "blue": {"team": "blue"}},
		policies:   policies,
	}
}

func rulesOfCluster(t *testing.T, s snapshot) []string {
	t.Helper()
	r, err := build(s)
	if err != nil {
		t.Fatal(err)
	}
	for _, rule := range r.rules {
		chain := strings.Fields(rule)[1]
		if !slices.Contains(r.chains, chain) || len(chain) > 28 {
			t.Fatalf("%s is written to a chain that is not made, or cannot be", rule)
		}
	}
	return r.rules
}

// of returns what a policy's chain holds in one direction.
func of(rules []string, letter, name string) []string {
	prefix := "-A " + chainName("P"+letter, "red", name) + " "
	var found []string
	for _, rule := range rules {
		if rest, ok := strings.CutPrefix(rule, prefix); ok {
			found = append(found, rest)
		}
	}
	return found
}

func TestPeersAndPorts(t *testing.T) {
	udp, end := core.ProtocolUDP, int32(8100)
	name, low := intstr.FromString("http"), intstr.FromInt32(8000)
	team := meta.LabelSelector{MatchLabels: map[string]string{"team": "blue"}}
	cases := map[string]struct {
		rule networking.NetworkPolicyIngressRule
		want []string
	}{
		"everything": {networking.NetworkPolicyIngressRule{}, []string{"-j ACCEPT"}},
		"a namespace, all of UDP": {
			networking.NetworkPolicyIngressRule{
				From:  []networking.NetworkPolicyPeer{{NamespaceSelector: &team}},
				Ports: []networking.NetworkPolicyPort{{Protocol: &udp}},
			},
			[]string{"-s 10.0.0.3/32 -p udp -j ACCEPT"},
		},
		"own pods, a range": {
			networking.NetworkPolicyIngressRule{
				From:  []networking.NetworkPolicyPeer{{PodSelector: &meta.LabelSelector{}}},
				Ports: []networking.NetworkPolicyPort{{Port: &low, EndPort: &end}},
			},
			[]string{"-s 10.0.0.1/32 -p tcp --dport 8000:8100 -j ACCEPT", "-s 10.0.0.2/32 -p tcp --dport 8000:8100 -j ACCEPT"},
		},
		"a name is the receiver's": {
			networking.NetworkPolicyIngressRule{Ports: []networking.NetworkPolicyPort{{Port: &name}}},
			[]string{"-d 10.0.0.1/32 -p tcp --dport 8080 -j ACCEPT"},
		},
	}
	for what, one := range cases {
		policy := policyFor("server", networking.NetworkPolicySpec{Ingress: []networking.NetworkPolicyIngressRule{one.rule}})
		if found := of(rulesOfCluster(t, cluster(policy)), "I", "server"); !slices.Equal(found, one.want) {
			t.Errorf("%s: %q instead of %q", what, found, one.want)
		}
	}
}

func TestNamedPortOfEgressIsEachReceivers(t *testing.T) {
	name := intstr.FromString("http")
	policy := policyFor("server", networking.NetworkPolicySpec{
		PolicyTypes: []networking.PolicyType{networking.PolicyTypeEgress},
		Egress: []networking.NetworkPolicyEgressRule{{
			To:    []networking.NetworkPolicyPeer{{PodSelector: &meta.LabelSelector{MatchLabels: map[string]string{"app": "friend"}}}},
			Ports: []networking.NetworkPolicyPort{{Port: &name}},
		}},
	})
	rules := rulesOfCluster(t, cluster(policy))
	want := []string{"-d 10.0.0.2/32 -p tcp --dport 9090 -g " + ingressChain}
	if found := of(rules, "E", "server"); !slices.Equal(found, want) {
		t.Errorf("%q instead of %q", found, want)
	}
	if found := of(rules, "I", "server"); found != nil {
		t.Errorf("a policy about egress wrote rules of ingress: %q", found)
	}
}

func TestUnknownAndEndedPodsGetNothing(t *testing.T) {
	s := cluster()
	ended := pod("red", "ended", "10.0.0.9")
	ended.Status.Phase = core.PodSucceeded
	s.pods = append(s.pods, ended)
	rules := rulesOfCluster(t, s)
	if strings.Contains(strings.Join(rules, "\n"), "10.0.0.9") {
		t.Error("the address of a pod that has ended may be another's already")
	}
	for _, want := range []string{"-A " + forwardChain + " -s 10.0.0.0/8 -j DROP", "-A " + ingressChain + " -d 10.0.0.0/8 -j DROP"} {
		if !slices.Contains(rules, want) {
			t.Errorf("no rule %q", want)
		}
	}
}

func TestOrderOfThePoliciesDoesNotMatter(t *testing.T) {
	a := policyFor("server", networking.NetworkPolicySpec{})
	b := policyFor("friend", networking.NetworkPolicySpec{})
	if !slices.Equal(rulesOfCluster(t, cluster(a, b)), rulesOfCluster(t, cluster(b, a))) {
		t.Error("the same cluster gives other rules")
	}
}

func TestRestoreReplacesOursAndLeavesTheRest(t *testing.T) {
	present := "*mangle\n:FORWARD ACCEPT [0:0]\n:KUBE-HINT - [0:0]\n:NETPOL-I-old - [0:0]\n-A FORWARD -j NETPOL-FORWARD\nCOMMIT\n"
	r, err := build(cluster())
	if err != nil {
		t.Fatal(err)
	}
	text := restoreText(r, present)
	for _, want := range []string{":NETPOL-I-old - [0:0]", "-X NETPOL-I-old", ":" + forwardChain + " - [0:0]"} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("%q is missing", want)
		}
	}
	if strings.Contains(text, "KUBE-HINT") || strings.Contains(text, "-A FORWARD") {
		t.Errorf("a chain of others is touched, or the jump is made twice:\n%s", text)
	}
	if !strings.Contains(restoreText(r, ""), "-A FORWARD -j "+forwardChain+"\n") {
		t.Error("nothing leads to the rules")
	}
}
