package apps

// modernize rewrites legacy spellings: ports, docker.network and
// docker.portMappings (Marathon 1.4 and before).
func modernize(doc object, bad *problems) {
	legacyPorts(doc, bad)
	c, ok := child(doc, "container", "", bad)
	if !ok {
		return
	}
	d, ok := child(c, "docker", "/container", bad)
	if !ok {
		return
	}
	if m, said := d["portMappings"]; said {
		setDefaults(c, object{"portMappings": m})
		delete(d, "portMappings")
	}
	network, said := d["network"].(string)
	delete(d, "network")
	if !said {
		return
	}
	switch network {
	case "HOST":
		setDefaults(doc, object{"networks": []any{object{"mode": "host"}}})
	case "BRIDGE":
		setDefaults(doc, object{"networks": []any{object{"mode": "container/bridge"}}})
	default:
		bad.add("/container/docker/network", "%s is %s", network, unsupported)
	}
}

func legacyPorts(doc object, bad *problems) {
	ports, said := doc["ports"]
	delete(doc, "ports")
	if !said {
		return
	}
	list, ok := ports.([]any)
	if !ok {
		bad.add("/ports", "must be a list")
		return
	}
	defs := make([]any, 0, len(list))
	for _, p := range list {
		defs = append(defs, object{"port": p})
	}
	if !bridged(doc) {
		setDefaults(doc, object{"portDefinitions": defs})
	}
}

// bridged tells whether the document asks for bridge networking in either
// spelling.
func bridged(doc object) bool {
	if c, ok := doc["container"].(object); ok {
		if d, ok := c["docker"].(object); ok && d["network"] == "BRIDGE" {
			return true
		}
	}
	list, _ := doc["networks"].([]any)
	for _, n := range list {
		if o, ok := n.(object); ok && o["mode"] == "container/bridge" {
			return true
		}
	}
	return false
}

// fillIn applies Marathon's defaults (dcos.md 2.2; RAML app.raml,
// healthCheck.raml, network.raml).
func fillIn(doc object, bad *problems) {
	setDefaults(doc, object{
		"cpus": 1, "mem": 128, "disk": 0, "gpus": 0, "instances": 1,
		"backoffSeconds": 1, "backoffFactor": 1.15, "maxLaunchDelaySeconds": 300,
		"killSelection":       "YOUNGEST_FIRST",
		"upgradeStrategy":     object{"minimumHealthCapacity": 1, "maximumOverCapacity": 1},
		"unreachableStrategy": object{"inactiveAfterSeconds": 0, "expungeAfterSeconds": 0},
	})
	if u, ok := child(doc, "upgradeStrategy", "", bad); ok {
		setDefaults(u, object{"minimumHealthCapacity": 1, "maximumOverCapacity": 1})
	}
	if bridged(doc) {
		fillInMappings(doc, bad)
	} else {
		setDefaults(doc, object{"portDefinitions": []any{object{}}})
	}
	setDefaults(doc, object{"networks": []any{object{"mode": "host"}}})
	for _, n := range children(doc, "networks", "", bad) {
		setDefaults(n, object{"mode": "container"})
	}
	for _, d := range children(doc, "portDefinitions", "", bad) {
		setDefaults(d, object{"port": 0, "protocol": "tcp"})
	}
	for _, h := range children(doc, "healthChecks", "", bad) {
		fillInHealth(h)
	}
	if c, ok := child(doc, "container", "", bad); ok {
		setDefaults(c, object{"type": "DOCKER"})
	}
}

func fillInMappings(doc object, bad *problems) {
	c, ok := child(doc, "container", "", bad)
	if !ok {
		c = object{"type": "MESOS"} // an image-less task in a network of its own
		doc["container"] = c
	}
	for _, m := range children(c, "portMappings", "/container", bad) {
		setDefaults(m, object{"containerPort": 0, "hostPort": 0, "servicePort": 0, "protocol": "tcp"})
	}
}

func fillInHealth(h object) {
	setDefaults(h, object{
		"protocol": "HTTP", "gracePeriodSeconds": 300, "intervalSeconds": 60, "timeoutSeconds": 20,
		"maxConsecutiveFailures": 3, "delaySeconds": 15, "ignoreHttp1xx": false,
	})
	if p := h["protocol"]; p == "COMMAND" {
		return
	} else if p != "TCP" && p != "MESOS_TCP" {
		setDefaults(h, object{"path": "/"})
	}
	if _, fixed := h["port"]; !fixed {
		setDefaults(h, object{"portIndex": 0})
	}
}
