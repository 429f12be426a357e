// operator makes the same children from the same FulfillmentCenters as the product's operator, with controller-runtime:
// the peer that the bench compares with.
package main

import (
	"flag"
	"fmt"
	"os"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

type options struct {
	template  string
	writes    string
	metrics   string
	namespace string
	workers   int
}

func run(opts options) error {
	ctrl.SetLogger(zap.New(zap.UseDevMode(false)))
	scheme := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(scheme))
	utilruntime.Must(addToScheme(scheme))
	template, err := readTemplate(opts.template, scheme)
	if err != nil {
		return err
	}
	config := ctrl.GetConfigOrDie()
	config.QPS = -1 // The API server's own priorities and limits hold, as they do for the other contender.
	config.UserAgent = "bench-operator-go"
	config.ContentType = runtime.ContentTypeProtobuf
	config.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON

	ours := cache.ByObject{Label: labels.SelectorFromSet(labels.Set{managedByLabel: manager})}
	byObject := map[client.Object]cache.ByObject{&corev1.Namespace{}: ours}
	for _, kind := range ownedKinds() {
		byObject[kind] = ours
	}
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme:                        scheme,
		Metrics:                       metricsserver.Options{BindAddress: opts.metrics},
		HealthProbeBindAddress:        "0",
		LeaderElection:                true,
		LeaderElectionID:              "bench-operator-go",
		LeaderElectionNamespace:       opts.namespace,
		LeaderElectionReleaseOnCancel: true,
		Cache: cache.Options{
			ByObject:         byObject,
			DefaultTransform: cache.TransformStripManagedFields(),
		},
	})
	if err != nil {
		return err
	}
	reconciler := &centerReconciler{Client: mgr.GetClient(), template: template, create: opts.writes == "create"}
	if err := reconciler.setUp(mgr, opts.workers); err != nil {
		return err
	}
	return mgr.Start(ctrl.SetupSignalHandler())
}

func main() {
	var opts options
	flag.StringVar(&opts.template, "template", "", "file with the objects of one center")
	flag.StringVar(&opts.writes, "writes", "apply", "how absent objects are made: apply (server-side) or create")
	flag.StringVar(&opts.metrics, "metrics", "127.0.0.1:8080", "address of /metrics")
	flag.StringVar(&opts.namespace, "namespace", "default", "namespace of the Lease")
	flag.IntVar(&opts.workers, "workers", 8, "centers worked on at once")
	// --kubeconfig is controller-runtime's own flag.
	flag.Parse()
	if err := run(opts); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// jobDone says whether a Job has completed.
func jobDone(job *batchv1.Job) bool {
	for _, condition := range job.Status.Conditions {
		if condition.Type == batchv1.JobComplete && condition.Status == corev1.ConditionTrue {
			return true
		}
	}
	return false
}
