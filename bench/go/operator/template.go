package main

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// template is the children of one center as JSON, with words that stand for what differs from center to center.
type template struct {
	Name        string            `json:"name"`
	UID         string            `json:"uid"`
	Epoch       string            `json:"epoch"`
	JobHash     string            `json:"jobHash"`
	Image       string            `json:"image"`
	Base        []json.RawMessage `json:"base"`
	Jobs        []json.RawMessage `json:"jobs"`
	Deployments []json.RawMessage `json:"deployments"`
	Probes      []json.RawMessage `json:"probes"`

	decoder runtime.Decoder
}

func readTemplate(path string, scheme *runtime.Scheme) (*template, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the template: %w", err)
	}
	read := &template{decoder: serializer.NewCodecFactory(scheme).UniversalDeserializer()}
	if err := json.Unmarshal(text, read); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return read, nil
}

// identity is what differs between the children of two centers.
type identity struct {
	name  string
	uid   types.UID
	epoch int64
	image string
}

// objects fills one part of the template in.
func (t *template) objects(part []json.RawMessage, who identity) ([]client.Object, error) {
	image := who.image
	if image == "" {
		image = t.Image
	}
	hash := sha256.Sum256([]byte(who.name + image + strconv.FormatInt(who.epoch, 10)))
	words := strings.NewReplacer(
		t.Name, who.name,
		t.UID, string(who.uid),
		t.Epoch, strconv.FormatInt(who.epoch, 10),
		t.Image, image,
		t.JobHash, hex.EncodeToString(hash[:])[:len(t.JobHash)],
	)
	filled := make([]client.Object, 0, len(part))
	for _, raw := range part {
		decoded, _, err := t.decoder.Decode([]byte(words.Replace(string(raw))), nil, nil)
		if err != nil {
			return nil, err
		}
		filled = append(filled, decoded.(client.Object))
	}
	return filled, nil
}

// withFreshWords replaces the data of a Secret by random words of the same length.
func withFreshWords(secret *corev1.Secret) {
	for key, value := range secret.Data {
		word := make([]byte, (len(value)+1)/2)
		if _, err := rand.Read(word); err != nil {
			panic(err)
		}
		secret.Data[key] = []byte(hex.EncodeToString(word))[:len(value)]
	}
}
