package main

import (
	"fmt"
	"log"
	"math/rand"
	"regexp"
	"sync"
)

// terms are what the user says of a rule: which requests it meets, how often, and what it does to them.
type terms struct {
	Act        string   `json:"act"`
	Method     string   `json:"method,omitempty"` // regular expression for the whole method
	Path       string   `json:"path,omitempty"`   // ... for a part of path?query, as the client wrote it; AMQP: of the queue's name
	Agent      string   `json:"agent,omitempty"`  // ... of the user agent
	Action     string   `json:"action,omitempty"` // ... of the header X-Amz-Target
	Share      *float64 `json:"share,omitempty"`  // of those it meets; absent: all
	Seed       int64    `json:"seed,omitempty"`   // of the dice for the share
	Times      int      `json:"times,omitempty"`  // at most; absent: no bound
	Status     int      `json:"status,omitempty"`
	Body       *string  `json:"body,omitempty"`
	Type       string   `json:"type,omitempty"`
	RetryAfter int      `json:"retry_after,omitempty"`
	MS         int      `json:"ms,omitempty"`
	After      bool     `json:"after,omitempty"`
	Bytes      int      `json:"bytes,omitempty"`
	Clean      bool     `json:"clean,omitempty"`
	Code       int      `json:"code,omitempty"`
}

// rule is one that is in force until it is removed.
type rule struct {
	terms
	ID   int `json:"id"`
	Hits int `json:"hits"`

	method, path, agent, action *regexp.Regexp
	dice                        *rand.Rand
	gone                        chan struct{} // closed when it is removed
}

// When a rule is looked at.
const (
	atRequest = iota + 1 // once for a request
	atAnswer             // once for an answer that is on its way; also while it is
	atEvent              // for each event of a watch
	atFrame              // for each frame of AMQP
	always               // it meets no request, it is in force
)

var httpStages = map[string]int{
	"status": atRequest, "replace": atRequest, "drop": atRequest, "reset": atRequest, "delay": atRequest, "goaway": atRequest,
	"drip": atAnswer, "cut": atAnswer, "event": atAnswer,
	"hold": atEvent, "duplicate": atEvent,
	"refuse": always,
}

var amqpStages = map[string]int{
	"status": atFrame, "drop": atFrame, "reset": atFrame, "cut": atFrame, "delay": atFrame, "drip": atFrame, "refuse": always,
}

// Acts after which no other rule can do anything to the request.
var final = map[string]bool{"status": true, "replace": true, "drop": true, "reset": true}

// subject is what a rule may meet.
type subject struct {
	method, path, agent, action string
	watch                       bool
}

// rules are those in force, in the order they were added.
type rules struct {
	stages  map[string]int // the acts there are
	mutex   sync.Mutex
	last    int
	list    []*rule
	changed chan struct{} // closed at the next change
}

func newRules(stages map[string]int) *rules {
	return &rules{stages: stages, list: []*rule{}, changed: make(chan struct{})}
}

func newRule(t terms) (*rule, error) {
	r := &rule{terms: t, gone: make(chan struct{})}
	if (t.Act == "status" || t.Act == "replace") && (t.Status < 200 || t.Status > 599) {
		return nil, fmt.Errorf("act %q needs a status of 200 to 599", t.Act)
	}
	if (t.Act == "delay" || t.Act == "hold") && t.MS <= 0 {
		return nil, fmt.Errorf("act %q needs ms", t.Act)
	}
	if t.Share != nil && (*t.Share < 0 || *t.Share > 1) {
		return nil, fmt.Errorf("share is from 0 to 1")
	}
	if t.MS < 0 || t.Bytes < 0 || t.Times < 0 || t.RetryAfter < 0 {
		return nil, fmt.Errorf("a number is negative")
	}
	if t.Method != "" {
		t.Method = "^(?:" + t.Method + ")$"
	}
	for _, each := range []struct {
		text string
		into **regexp.Regexp
	}{{t.Method, &r.method}, {t.Path, &r.path}, {t.Agent, &r.agent}, {t.Action, &r.action}} {
		var err error
		if *each.into, err = regexp.Compile(each.text); err != nil {
			return nil, err
		}
	}
	r.dice = rand.New(rand.NewSource(t.Seed))
	return r, nil
}

func (s *rules) add(t terms) (*rule, error) {
	if s.stages[t.Act] == 0 {
		return nil, fmt.Errorf("unknown act %q", t.Act)
	}
	r, err := newRule(t)
	if err != nil {
		return nil, err
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.last++
	r.ID = s.last
	s.list = append(s.list, r)
	s.wake()
	return r, nil
}

// remove takes away one rule, or all with id 0. It returns how many went.
func (s *rules) remove(id int) int {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	kept := []*rule{}
	for _, r := range s.list {
		if id == 0 || r.ID == id {
			close(r.gone)
		} else {
			kept = append(kept, r)
		}
	}
	count := len(s.list) - len(kept)
	s.list = kept
	s.wake()
	return count
}

func (s *rules) wake() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// changes returns a channel that is closed at the next change.
func (s *rules) changes() <-chan struct{} {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.changed
}

// snapshot returns copies, for the answer of `list`.
func (s *rules) snapshot() []rule {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	copies := []rule{}
	for _, r := range s.list {
		copies = append(copies, *r)
	}
	return copies
}

func (s *rules) has(act string) bool {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for _, r := range s.list {
		if r.Act == act {
			return true
		}
	}
	return false
}

// meet returns the rules of a stage that the subject meets now, and counts them. Those in `seen` had their chance; the others of this
// stage get into it. The first final one is the last.
func (s *rules) meet(stage int, what subject, seen map[int]bool) []*rule {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	var met []*rule
	for _, r := range s.list {
		if s.stages[r.Act] != stage || seen[r.ID] || !r.matches(what) {
			continue
		}
		if seen != nil {
			seen[r.ID] = true
		}
		if r.Times > 0 && r.Hits >= r.Times || r.Share != nil && r.dice.Float64() >= *r.Share {
			continue
		}
		r.Hits++
		log.Printf("rule %d: %s: %s %s", r.ID, r.Act, what.method, what.path)
		met = append(met, r)
		if final[r.Act] {
			break
		}
	}
	return met
}

func (r *rule) matches(what subject) bool {
	watches := r.Act == "event" || r.Act == "hold" || r.Act == "duplicate"
	return (!watches || what.watch) && r.method.MatchString(what.method) && r.path.MatchString(what.path) &&
		r.agent.MatchString(what.agent) && r.action.MatchString(what.action)
}

// removed tells whether the rule is in force no more.
func (r *rule) removed() bool {
	select {
	case <-r.gone:
		return true
	default:
		return false
	}
}
