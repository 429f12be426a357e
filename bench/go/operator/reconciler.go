package main

import (
	"context"
	"encoding/json"
	"reflect"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

const (
	manager        = "fulfillment-cells"
	managedByLabel = "app.kubernetes.io/managed-by"
	centerLabel    = "cells.fulfillment.io/center"
	finalizer      = "cells.fulfillment.io/cell"
)

func ownedKinds() []client.Object {
	return []client.Object{
		&corev1.ResourceQuota{}, &corev1.LimitRange{}, &networkingv1.NetworkPolicy{}, &corev1.ServiceAccount{},
		&corev1.Secret{}, &corev1.Service{}, &appsv1.StatefulSet{}, &appsv1.Deployment{}, &batchv1.Job{},
		&policyv1.PodDisruptionBudget{},
	}
}

type centerReconciler struct {
	client.Client
	template *template
	// create makes absent objects with a plain create instead of server-side apply.
	create bool
}

func (r *centerReconciler) setUp(mgr ctrl.Manager, workers int) error {
	byLabel := handler.EnqueueRequestsFromMapFunc(func(_ context.Context, object client.Object) []reconcile.Request {
		center, labelled := object.GetLabels()[centerLabel]
		if !labelled {
			return nil
		}
		return []reconcile.Request{{NamespacedName: types.NamespacedName{Name: center}}}
	})
	builder := ctrl.NewControllerManagedBy(mgr).
		Named("fulfillmentcenter").
		For(&FulfillmentCenter{}).
		Watches(&corev1.Namespace{}, byLabel).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers})
	for _, kind := range ownedKinds() {
		builder = builder.Watches(kind, byLabel)
	}
	return builder.Complete(r)
}

// Reconcile makes what is missing of a center's cell, in the same order as the product's operator: everything that may
// exist before the database's schema, the Job that makes the schema, and then what needs it.
func (r *centerReconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	fc := &FulfillmentCenter{}
	if err := r.Get(ctx, request.NamespacedName, fc); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if !fc.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, r.removeCell(ctx, fc)
	}
	if !controllerutil.ContainsFinalizer(fc, finalizer) {
		before := fc.DeepCopy()
		fc = fc.DeepCopy()
		controllerutil.AddFinalizer(fc, finalizer)
		if err := r.Patch(ctx, fc, client.MergeFrom(before)); err != nil {
			return ctrl.Result{}, err
		}
	}
	who := identity{name: fc.Name, uid: fc.UID, epoch: fc.Status.Epoch, image: fc.Spec.Release.Image}
	issued := who.epoch == 0
	if issued {
		who.epoch = time.Now().Unix() + 1
	}
	progress, err := r.build(ctx, who, issued)
	if err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{}, r.report(ctx, fc, who, progress)
}

// progress is how far a cell is.
type progress struct {
	provisioned, databaseReady, cacheReady, migrated, servicesReady bool
	services                                                        []ServiceStatus
}

func (r *centerReconciler) build(ctx context.Context, who identity, issued bool) (progress, error) {
	var done progress
	if _, err := r.ensureAll(ctx, r.template.Base, who); err != nil {
		return done, err
	}
	done.provisioned = true
	namespace := "cell-" + who.name
	var err error
	if done.databaseReady, err = r.storeReady(ctx, namespace, "database"); err != nil {
		return done, err
	}
	if done.cacheReady, err = r.storeReady(ctx, namespace, "cache"); err != nil {
		return done, err
	}
	if issued || !done.databaseReady {
		return done, nil
	}
	jobs, err := r.ensureAll(ctx, r.template.Jobs, who)
	if err != nil {
		return done, err
	}
	done.migrated = true
	for _, live := range jobs {
		job, found := live.(*batchv1.Job)
		done.migrated = done.migrated && found && jobDone(job)
	}
	if !done.migrated {
		return done, nil
	}
	deployments, err := r.ensureAll(ctx, r.template.Deployments, who)
	if err != nil {
		return done, err
	}
	done.servicesReady = true
	for _, live := range deployments {
		deployment, found := live.(*appsv1.Deployment)
		if !found {
			done.servicesReady = false
			continue
		}
		status := deployment.Status
		replicas := *deployment.Spec.Replicas
		done.services = append(done.services, ServiceStatus{
			Name: deployment.Name, Replicas: replicas, Ready: status.ReadyReplicas,
		})
		done.servicesReady = done.servicesReady && status.ObservedGeneration >= deployment.Generation &&
			status.UpdatedReplicas >= replicas && status.AvailableReplicas >= replicas
	}
	if !done.servicesReady {
		return done, nil
	}
	_, err = r.ensureAll(ctx, r.template.Probes, who)
	return done, err
}

func (r *centerReconciler) storeReady(ctx context.Context, namespace, name string) (bool, error) {
	live := &appsv1.StatefulSet{}
	if err := r.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, live); err != nil {
		return false, client.IgnoreNotFound(err)
	}
	return live.Status.ReadyReplicas >= *live.Spec.Replicas, nil
}

// ensureAll makes or mends the objects of one part, and returns the cached state of those that were there.
func (r *centerReconciler) ensureAll(ctx context.Context, part []json.RawMessage, who identity) ([]client.Object, error) {
	objects, err := r.template.objects(part, who)
	if err != nil {
		return nil, err
	}
	seen := make([]client.Object, 0, len(objects))
	for _, object := range objects {
		live, err := r.ensure(ctx, object)
		if err != nil {
			return nil, err
		}
		seen = append(seen, live)
	}
	return seen, nil
}

// ensure writes an object that is absent or not as desired; it returns the cached one, nil when there is none yet.
func (r *centerReconciler) ensure(ctx context.Context, object client.Object) (client.Object, error) {
	gvk, err := apiutil.GVKForObject(object, r.Scheme())
	if err != nil {
		return nil, err
	}
	made, err := r.Scheme().New(gvk)
	if err != nil {
		return nil, err
	}
	live := made.(client.Object)
	err = r.Get(ctx, client.ObjectKeyFromObject(object), live)
	if err == nil {
		if secret, is := object.(*corev1.Secret); is {
			// What was drawn once stays.
			secret.Data = nil
		}
		if within(reflect.ValueOf(object), reflect.ValueOf(live)) {
			return live, nil
		}
		return live, r.apply(ctx, object)
	}
	if !apierrors.IsNotFound(err) {
		return nil, err
	}
	if secret, is := object.(*corev1.Secret); is {
		withFreshWords(secret)
		// Never over one that the cache does not show yet.
		return nil, ignoreExists(r.Create(ctx, secret, client.FieldOwner(manager)))
	}
	if r.create {
		return nil, ignoreExists(r.Create(ctx, object, client.FieldOwner(manager)))
	}
	return nil, r.apply(ctx, object)
}

func (r *centerReconciler) apply(ctx context.Context, object client.Object) error {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return err
	}
	delete(content, "status")
	wish := client.ApplyConfigurationFromUnstructured(&unstructured.Unstructured{Object: content})
	return r.Apply(ctx, wish, client.FieldOwner(manager), client.ForceOwnership)
}

func ignoreExists(err error) error {
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

func (r *centerReconciler) removeCell(ctx context.Context, fc *FulfillmentCenter) error {
	namespace := &corev1.Namespace{}
	err := r.Get(ctx, client.ObjectKey{Name: "cell-" + fc.Name}, namespace)
	if err == nil {
		if namespace.DeletionTimestamp.IsZero() {
			return client.IgnoreNotFound(r.Delete(ctx, namespace))
		}
		return nil
	}
	if !apierrors.IsNotFound(err) {
		return err
	}
	before := fc.DeepCopy()
	after := fc.DeepCopy()
	controllerutil.RemoveFinalizer(after, finalizer)
	return client.IgnoreNotFound(r.Patch(ctx, after, client.MergeFrom(before)))
}
