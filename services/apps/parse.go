package apps

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"

	"github.com/ingot-os/ingot/api"
)

// Parsed is a definition as it was read.
type Parsed struct {
	App     api.App
	Ignored []string // fields that Marathon does not know
}

// Parse reads a whole definition: defaults applied, legacy spellings rewritten,
// validated.
func Parse(body []byte) (Parsed, error) {
	doc, err := decode(body)
	if err != nil {
		return Parsed{}, err
	}
	return build(doc)
}

// Merge reads a partial definition over an existing one: a field that the body
// names replaces the old one whole, null puts its default back.
func Merge(old api.App, body []byte) (Parsed, error) {
	update, err := decode(body)
	if err != nil {
		return Parsed{}, err
	}
	b, err := json.Marshal(old)
	if err != nil {
		return Parsed{}, fmt.Errorf("write app %s: %w", old.ID, err)
	}
	doc, err := decode(b)
	if err != nil {
		return Parsed{}, err
	}
	if len(old.PortDefinitions) == 0 && !Bridged(old) {
		doc["portDefinitions"] = []any{} // none was asked for: no default
	}
	if id, said := update["id"]; said && id != nil {
		if s, ok := id.(string); !ok || canonicalID(s) != old.ID {
			return Parsed{}, renamed(old.ID)
		}
	}
	giveWay(doc, update)
	maps.Copy(doc, update)
	doc["id"] = old.ID
	return build(doc)
}

func renamed(id string) error {
	var bad problems
	bad.add("/id", "an app cannot be renamed, this one is %s", id)
	return bad.err()
}

// giveWay removes from the old document what the update's fields exclude.
func giveWay(doc, update object) {
	exclude := map[string][]string{
		"cmd": {"args"}, "args": {"cmd"},
		"ports": {"portDefinitions"}, "networks": {"portDefinitions"}, "container": {"portDefinitions", "networks"},
	}
	for name, others := range exclude {
		if update[name] == nil {
			continue
		}
		for _, other := range others {
			delete(doc, other)
		}
	}
}

func decode(body []byte) (object, error) {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	var doc object
	err := dec.Decode(&doc)
	if err == nil && doc == nil {
		err = errors.New("null is not an object")
	}
	if err == nil {
		if _, more := dec.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("more than one value")
		}
	}
	if err != nil {
		return nil, api.Errorf(api.KindBadRequest, "Invalid JSON: %v", err)
	}
	return doc, nil
}

// build turns a document into an App in five steps; each may add problems.
func build(doc object) (Parsed, error) {
	var bad problems
	dropNulls(doc)
	unknown := siftAll(doc, &bad)
	plainEnv(doc, &bad)
	modernize(doc, &bad)
	fillIn(doc, &bad)
	app, err := typed(doc, &bad)
	if err != nil {
		return Parsed{}, err
	}
	app.ID = canonicalID(app.ID)
	if len(bad.details) == 0 {
		validate(&app, &bad)
	}
	return Parsed{app, unknown}, bad.err()
}

func siftAll(doc object, bad *problems) []string {
	if s, _ := doc["executor"].(string); s == "" || s == "//cmd" {
		delete(doc, "executor") // the only executor there is
	} else {
		bad.add("/executor", unsupported)
		delete(doc, "executor")
	}
	if r, said := doc["role"]; said && (r == "*" || r == "slave_public") {
		delete(doc, "role") // Mesos' roles have one use here: acceptedResourceRoles
	} else if said {
		bad.add("/role", unsupported)
		delete(doc, "role")
	}
	unknown := sift(doc, appFields, "", bad)
	if c, ok := child(doc, "container", "", bad); ok {
		unknown = append(unknown, sift(c, containerFields, "/container", bad)...)
		if d, ok := child(c, "docker", "/container", bad); ok {
			unknown = append(unknown, sift(d, dockerFields, "/container/docker", bad)...)
		}
	}
	return unknown
}

// plainEnv refuses environment values that are not strings: secrets.
func plainEnv(doc object, bad *problems) {
	env, _ := child(doc, "env", "", bad)
	for k, v := range env {
		if _, ok := v.(string); ok {
			continue
		}
		if _, ok := v.(object); ok {
			bad.add("/env/"+k, "secrets are "+unsupported)
		} else {
			bad.add("/env/"+k, "must be a string")
		}
		delete(env, k)
	}
}

// typed decodes the document; a value of the wrong type is a problem at its
// path.
func typed(doc object, bad *problems) (api.App, error) {
	var app api.App
	b, err := json.Marshal(doc)
	if err != nil {
		return app, fmt.Errorf("write app definition: %w", err)
	}
	err = json.Unmarshal(b, &app)
	if t, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		bad.add("/"+strings.ReplaceAll(t.Field, ".", "/"), "has a %s, needs a %s", t.Value, t.Type)
	} else if err != nil {
		bad.add("/", "%v", err)
	}
	return app, nil
}

// canonicalID is an app's absolute path: relative ones are of the root group.
func canonicalID(id string) string {
	if id == "" {
		return ""
	}
	return "/" + strings.Trim(id, "/")
}
