package main

import (
	"reflect"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// within says whether everything that `want` sets is the same in `have`; what it leaves at its zero value is the
// server's to default. (equality.Semantic.DeepDerivative takes a number 0 for a wish.)
func within(want, have reflect.Value) bool {
	if want.IsZero() {
		return true
	}
	if _, is := want.Interface().(metav1.TypeMeta); is {
		// Does not come along in protobuf, not even inside the claim templates of a StatefulSet.
		return true
	}
	if quantity, is := want.Interface().(resource.Quantity); is {
		return quantity.Cmp(have.Interface().(resource.Quantity)) == 0
	}
	switch want.Kind() {
	case reflect.Pointer:
		if have.IsNil() {
			return false
		}
		if want.Elem().Kind() != reflect.Struct {
			// Behind a pointer 0 and false are wishes.
			return want.Elem().Equal(have.Elem())
		}
		return within(want.Elem(), have.Elem())
	case reflect.Struct:
		for at := range want.NumField() {
			if !within(want.Field(at), have.Field(at)) {
				return false
			}
		}
		return true
	case reflect.Map:
		for _, key := range want.MapKeys() {
			if value := have.MapIndex(key); !value.IsValid() || !within(want.MapIndex(key), value) {
				return false
			}
		}
		return true
	case reflect.Slice:
		if want.Len() != have.Len() {
			return false
		}
		for at := range want.Len() {
			if !within(want.Index(at), have.Index(at)) {
				return false
			}
		}
		return true
	default:
		return want.Equal(have)
	}
}
