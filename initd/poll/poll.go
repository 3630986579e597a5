// Package poll waits for readiness of many descriptors with one thread: pidfds
// become readable when their process ends, listening sockets when a connection
// waits. It never reads from a descriptor and does not change its flags, which a
// socket shares with the service that it belongs to.
//
// Run is the only goroutine; it calls the registered function, which must not
// block for long, and forgets the registration (EPOLLONESHOT).
package poll

import (
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sys/unix"
)

// Poller is an epoll instance.
type Poller struct {
	epoll int

	mu   sync.Mutex // guards next and wait
	next int32
	wait map[int32]registration
}

type registration struct {
	fd    int
	ready func()
}

// New makes a poller; its owner calls Run.
func New() (*Poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make epoll instance: %w", err)
	}
	return &Poller{epoll: fd, wait: map[int32]registration{}}, nil
}

// Once calls ready when fd becomes readable, one time. The caller keeps fd open
// until then, or calls Forget before closing it.
func (p *Poller) Once(fd int, ready func()) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next++
	id := p.next
	ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLONESHOT, Fd: id}
	err := unix.EpollCtl(p.epoll, unix.EPOLL_CTL_ADD, fd, &ev)
	if errors.Is(err, unix.EEXIST) {
		p.remove(fd)
		err = unix.EpollCtl(p.epoll, unix.EPOLL_CTL_ADD, fd, &ev)
	}
	if err != nil {
		return fmt.Errorf("watch descriptor: %w", err)
	}
	p.wait[id] = registration{fd, ready}
	return nil
}

// Forget ends the watch of fd; a call that is under way may still come.
func (p *Poller) Forget(fd int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.remove(fd)
}

func (p *Poller) remove(fd int) {
	for id, r := range p.wait {
		if r.fd == fd {
			delete(p.wait, id)
			_ = unix.EpollCtl(p.epoll, unix.EPOLL_CTL_DEL, fd, nil) // closed already: the kernel removed it
		}
	}
}

// Run serves until Close.
func (p *Poller) Run() error {
	events := make([]unix.EpollEvent, 64)
	for {
		n, err := unix.EpollWait(p.epoll, events, -1)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("wait for descriptors: %w", err)
		}
		for _, ev := range events[:n] {
			p.fire(ev.Fd)
		}
	}
}

func (p *Poller) fire(id int32) {
	p.mu.Lock()
	r, ok := p.wait[id]
	if ok {
		p.remove(r.fd)
	}
	p.mu.Unlock()
	if ok {
		r.ready()
	}
}
