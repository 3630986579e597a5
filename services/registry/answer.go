package registry

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
)

// refuse answers in the specification's own form of error.
func refuse(w http.ResponseWriter, status int, code, message string) {
	type item struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string][]item{"errors": {{code, message}}}) // who is gone asks again
}

func (g *registry) tags(w http.ResponseWriter, name string) {
	repo, ok := g.repositories[name]
	if !ok {
		refuse(w, http.StatusNotFound, "NAME_UNKNOWN", fmt.Sprintf("there is no image %q", name))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"name": name, "tags": slices.Sorted(maps.Keys(repo.tags))})
}
