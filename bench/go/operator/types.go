package main

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var groupVersion = schema.GroupVersion{Group: "cells.fulfillment.io", Version: "v1alpha1"}

// FulfillmentCenter holds what this operator reads and writes of the resource.
type FulfillmentCenter struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              FulfillmentCenterSpec   `json:"spec"`
	Status            FulfillmentCenterStatus `json:"status,omitempty"`
}

// FulfillmentCenterSpec is read only: the children are the same for every center of the bench.
type FulfillmentCenterSpec struct {
	Region  string  `json:"region,omitempty"`
	Release Release `json:"release,omitempty"`
}

// Release is what the services of a center run.
type Release struct {
	Image string `json:"image,omitempty"`
}

// FulfillmentCenterStatus is what is reported.
type FulfillmentCenterStatus struct {
	ObservedGeneration int64              `json:"observedGeneration,omitempty"`
	Phase              string             `json:"phase,omitempty"`
	Namespace          string             `json:"namespace,omitempty"`
	Epoch              int64              `json:"epoch,omitempty"`
	Services           []ServiceStatus    `json:"services,omitempty"`
	Conditions         []metav1.Condition `json:"conditions,omitempty"`
}

// ServiceStatus counts the pods of one Deployment.
type ServiceStatus struct {
	Name     string `json:"name"`
	Replicas int32  `json:"replicas"`
	Ready    int32  `json:"ready"`
}

// FulfillmentCenterList is a list of centers.
type FulfillmentCenterList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []FulfillmentCenter `json:"items"`
}

func addToScheme(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(groupVersion, &FulfillmentCenter{}, &FulfillmentCenterList{})
	metav1.AddToGroupVersion(scheme, groupVersion)
	return nil
}

// DeepCopy returns a copy that shares nothing.
func (in *FulfillmentCenter) DeepCopy() *FulfillmentCenter {
	out := &FulfillmentCenter{TypeMeta: in.TypeMeta, Spec: in.Spec, Status: in.Status}
	in.ObjectMeta.DeepCopyInto(&out.ObjectMeta)
	out.Status.Services = append([]ServiceStatus(nil), in.Status.Services...)
	out.Status.Conditions = append([]metav1.Condition(nil), in.Status.Conditions...)
	return out
}

// DeepCopyObject makes it a runtime.Object.
func (in *FulfillmentCenter) DeepCopyObject() runtime.Object { return in.DeepCopy() }

// DeepCopyObject makes it a runtime.Object.
func (in *FulfillmentCenterList) DeepCopyObject() runtime.Object {
	out := &FulfillmentCenterList{TypeMeta: in.TypeMeta, ListMeta: *in.ListMeta.DeepCopy()}
	for at := range in.Items {
		out.Items = append(out.Items, *in.Items[at].DeepCopy())
	}
	return out
}
