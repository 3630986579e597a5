package enrol

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/ingot-os/ingot/api"
)

// digest names a request by its token and key, so that neither is kept.
func digest(token string, key []byte) string {
	h := sha256.New()
	h.Write([]byte(token))
	h.Write([]byte{0}) // tokens have no zero byte: no two pairs hash alike
	h.Write(key)
	return hex.EncodeToString(h.Sum(nil))
}

// again finds the answer that the same request got lately.
func (s *Server) again(req *request) (api.EnrolReply, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, ok := s.done[req.key]
	if !ok || req.now.Sub(a.at) > retryFor {
		return api.EnrolReply{}, false
	}
	return a.reply, true
}

// keep remembers an answer, and forgets those that are too old to matter.
func (s *Server) keep(req *request, reply api.EnrolReply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done == nil {
		s.done = map[string]answered{}
	}
	for k, a := range s.done {
		if req.now.Sub(a.at) > retryFor {
			delete(s.done, k)
		}
	}
	s.done[req.key] = answered{reply: reply, at: req.now}
}

// take gives one request at a time its turn with a token.
func (s *Server) take(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.turns[id] {
		return false
	}
	if s.turns == nil {
		s.turns = map[string]bool{}
	}
	s.turns[id] = true
	return true
}

func (s *Server) release(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.turns, id)
}
