package main
import (
 _ "go.etcd.io/etcd/server/v3/embed"
 _ "go.etcd.io/etcd/client/v3/concurrency"
 _ "github.com/containerd/containerd/v2/cmd/containerd/command"
 _ "github.com/containerd/containerd/v2/cmd/containerd/builtins"
 _ "github.com/containerd/containerd/v2/client"
)
func main(){}
