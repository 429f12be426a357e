// Enforces the NetworkPolicies of a cluster of one node whose pods are all routed by that node: every packet between
// two pods, or between a pod and the world, passes its FORWARD chain. What the node itself says to a pod does not:
// the probes of the kubelet always come through.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	// burst is how long changes are collected before they become one set of rules.
	burst = 20 * time.Millisecond
	// repair is how often the rules are written again although nothing has changed: somebody may have removed them.
	repair = 30 * time.Second
	retry  = time.Second
)

func main() {
	kubeconfig := flag.String("kubeconfig", "", "how to reach the API server")
	podRange := flag.String("pod-range", "", "addresses of all pods, as 10.0.0.0/16")
	serviceRange := flag.String("service-range", "", "addresses of services, as 10.1.0.0/16")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, *kubeconfig, snapshot{podRange: *podRange, serviceRange: *serviceRange}); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "netpolicy:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, kubeconfig string, empty snapshot) error {
	for _, text := range []string{empty.podRange, empty.serviceRange} {
		if _, ok := parseRange(text); !ok {
			return fmt.Errorf("--pod-range and --service-range: %q is not an IPv4 range", text)
		}
	}
	if err := closeFirst(ctx, empty); err != nil {
		return err
	}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	dirty := make(chan struct{}, 1)
	read, err := follow(ctx, client, empty, dirty)
	if err != nil {
		return err
	}
	enforce(ctx, read, dirty)
	return ctx.Err()
}

// closeFirst holds all pods back until their policies are known. Rules that an earlier run has left are better than
// that and stay.
func closeFirst(ctx context.Context, empty snapshot) error {
	present, err := command(ctx, "", "iptables-save", "-t", table)
	if err != nil {
		return err
	}
	if hasRules(present) {
		return nil
	}
	r, err := build(empty)
	if err != nil {
		return err
	}
	return install(ctx, r)
}

// follow keeps local copies, and says in dirty that they have changed. The function returned reads them.
func follow(ctx context.Context, client kubernetes.Interface, empty snapshot, dirty chan<- struct{}) (func() (snapshot, error), error) {
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTransform(withoutHistory))
	pods := factory.Core().V1().Pods()
	namespaces := factory.Core().V1().Namespaces()
	policies := factory.Networking().V1().NetworkPolicies()
	changed := func() {
		select {
		case dirty <- struct{}{}:
		default:
		}
	}
	handler := cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { changed() },
		UpdateFunc: func(any, any) { changed() },
		DeleteFunc: func(any) { changed() },
	}
	for _, one := range []cache.SharedIndexInformer{pods.Informer(), namespaces.Informer(), policies.Informer()} {
		if _, err := one.AddEventHandler(handler); err != nil {
			return nil, err
		}
	}
	factory.Start(ctx.Done())
	for kind, ok := range factory.WaitForCacheSync(ctx.Done()) {
		if !ok {
			return nil, fmt.Errorf("no list of %s: %w", kind, context.Canceled)
		}
	}
	return func() (snapshot, error) {
		s := empty
		s.namespaces = map[string]labels.Set{}
		all, err := namespaces.Lister().List(labels.Everything())
		if err != nil {
			return s, err
		}
		for _, one := range all {
			s.namespaces[one.Name] = one.Labels
		}
		if s.pods, err = pods.Lister().List(labels.Everything()); err != nil {
			return s, err
		}
		s.policies, err = policies.Lister().List(labels.Everything())
		return s, err
	}, nil
}

// withoutHistory drops what is large and not read.
func withoutHistory(object any) (any, error) {
	switch one := object.(type) {
	case *core.Pod:
		one.ManagedFields, one.Annotations = nil, nil
		one.Spec.Volumes, one.Spec.InitContainers = nil, nil
	case *core.Namespace:
		one.ManagedFields, one.Annotations = nil, nil
	}
	return object, nil
}

// enforce brings the rules in line with the copies until ctx ends. When it ends, the rules stay in force.
func enforce(ctx context.Context, read func() (snapshot, error), dirty chan struct{}) {
	var last string
	timer := time.NewTimer(0)
	for {
		repairing := false
		select {
		case <-ctx.Done():
			return
		case <-dirty:
			time.Sleep(burst)
		case <-timer.C:
			repairing = true
		}
		next := repair
		if text, err := once(ctx, read, last, repairing); err != nil {
			fmt.Fprintln(os.Stderr, "the old rules stay in force:", err)
			next = retry
		} else {
			last = text
		}
		timer.Reset(next)
	}
}

func once(ctx context.Context, read func() (snapshot, error), last string, always bool) (string, error) {
	s, err := read()
	if err != nil {
		return last, err
	}
	r, err := build(s)
	if err != nil {
		return last, err
	}
	text := fmt.Sprint(r)
	if text == last && !always {
		return last, nil
	}
	began := time.Now()
	if err := install(ctx, r); err != nil {
		return last, err
	}
	if text != last {
		fmt.Printf("%s %d policies, %d pods: %d rules in %v\n", began.Format(time.RFC3339Nano), len(s.policies), len(s.pods),
			len(r.rules), time.Since(began).Round(time.Millisecond))
	}
	return text, nil
}
