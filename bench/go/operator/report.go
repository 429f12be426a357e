package main

import (
	"context"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// report writes the status when it says something new.
func (r *centerReconciler) report(ctx context.Context, fc *FulfillmentCenter, who identity, done progress) error {
	after := fc.DeepCopy()
	after.Status.ObservedGeneration = fc.Generation
	after.Status.Epoch = who.epoch
	after.Status.Namespace = "cell-" + who.name
	after.Status.Services = done.services
	ready := done.databaseReady && done.cacheReady && done.migrated && done.servicesReady
	after.Status.Phase = "Provisioning"
	if ready {
		after.Status.Phase = "Ready"
	}
	conditions := []struct {
		name   string
		holds  bool
		reason string
	}{
		{"Provisioned", done.provisioned, "Provisioned"},
		{"DatabaseReady", done.databaseReady, "Ready"},
		{"CacheReady", done.cacheReady, "Ready"},
		{"SchemaMigrated", done.migrated, "Migrated"},
		{"ServicesReady", done.servicesReady, "Ready"},
		{"Ready", ready, "Ready"},
	}
	for _, one := range conditions {
		status, reason, message := metav1.ConditionFalse, "Waiting", "Waiting for the step before; no action needed."
		if one.holds {
			status, reason, message = metav1.ConditionTrue, one.reason, "Everything is as the spec asks."
		}
		meta.SetStatusCondition(&after.Status.Conditions, metav1.Condition{
			Type: one.name, Status: status, Reason: reason, Message: message, ObservedGeneration: fc.Generation,
		})
	}
	if equality.Semantic.DeepEqual(fc.Status, after.Status) {
		return nil
	}
	patch := client.MergeFrom(fc)
	if fc.Status.Epoch == 0 {
		// A number is issued once: on a stale copy this write must be refused instead of replacing a newer one.
		patch = client.MergeFromWithOptions(fc, client.MergeFromWithOptimisticLock{})
	}
	return client.IgnoreNotFound(r.Status().Patch(ctx, after, patch))
}
