package main

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"
)

// stream is one answer on its way to the client. A rule that is added meanwhile works on it, too.
type stream struct {
	rules *rules
	w     http.ResponseWriter
	out   *http.ResponseController
	q     *http.Request
	what  subject
	seen  map[int]bool // rules that had their chance
	cut   *rule
	left  int // bytes until the cut
	drip  *rule
	queue []held
}

// held is an event that waits for its time, and for those before it.
type held struct {
	line []byte
	due  time.Time
	rule *rule // nil: it waits only for those before it
}

func newStream(rules *rules, w http.ResponseWriter, q *http.Request, what subject) *stream {
	return &stream{rules: rules, w: w, out: http.NewResponseController(w), q: q, what: what, seen: map[int]bool{}}
}

// run returns when the answer has ended; it panics with http.ErrAbortHandler where the answer is cut.
func (s *stream) run(answer *http.Response) {
	s.out.Flush() // a watch's header goes out before its first event
	lines := strings.HasPrefix(answer.Header.Get("Content-Type"), "application/json")
	if s.what.watch && answer.StatusCode == http.StatusOK && lines {
		s.watch(answer.Body)
	} else {
		s.copy(answer.Body)
	}
}

func (s *stream) copy(body io.Reader) {
	buffer := make([]byte, 32768)
	for s.look() {
		n, err := body.Read(buffer)
		if !s.write(buffer[:n]) || err == io.EOF {
			return
		}
		if err != nil {
			panic(http.ErrAbortHandler)
		}
	}
}

// watch passes events, one a line, as the rules of the moment say.
func (s *stream) watch(body io.Reader) {
	lines, failed := make(chan []byte), error(nil)
	go func() {
		failed = s.read(body, lines)
		close(lines)
	}()
	source := lines
	for {
		changed := s.rules.changes() // before we look, so that none is missed
		if !s.look() || !s.release() || source == nil && len(s.queue) == 0 {
			return
		}
		select {
		case line, ok := <-source:
			if ok {
				s.arrive(line)
			} else if failed != nil {
				panic(http.ErrAbortHandler)
			} else {
				source = nil
			}
		case <-s.timer():
		case <-changed:
		case <-s.q.Context().Done():
			panic(http.ErrAbortHandler)
		}
	}
}

func (s *stream) read(body io.Reader, lines chan<- []byte) error {
	reader := bufio.NewReaderSize(body, 65536)
	for {
		line, err := reader.ReadBytes('\n')
		if len(line) > 0 {
			select {
			case lines <- line:
			case <-s.q.Context().Done():
				return s.q.Context().Err()
			}
		}
		if err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// arrive queues an event, twice or with its due time where a rule says so.
func (s *stream) arrive(line []byte) {
	event, count := held{line: line, due: time.Now()}, 1
	for _, r := range s.rules.meet(atEvent, s.what, nil) {
		if r.Act == "duplicate" {
			count++
		} else if event.rule == nil {
			event.rule, event.due = r, event.due.Add(time.Duration(r.MS)*time.Millisecond)
		}
	}
	for ; count > 0; count-- {
		s.queue = append(s.queue, event)
	}
}

// release writes the events whose time has come. False: the answer has ended.
func (s *stream) release() bool {
	for len(s.queue) > 0 {
		first := s.queue[0]
		if time.Until(first.due) > 0 && !first.rule.removed() {
			break
		}
		s.queue = s.queue[1:]
		if !s.write(first.line) {
			return false
		}
	}
	return true
}

func (s *stream) timer() <-chan time.Time {
	if len(s.queue) == 0 {
		return nil
	}
	return time.After(time.Until(s.queue[0].due))
}

// look takes up rules that are new to this answer. False: the answer has ended.
func (s *stream) look() bool {
	for _, r := range s.rules.meet(atAnswer, s.what, s.seen) {
		switch r.Act {
		case "drip":
			s.drip = r
		case "cut":
			s.cut, s.left = r, r.Bytes
		case "event":
			code := r.Code
			if code == 0 {
				code = http.StatusGone
			}
			line, _ := json.Marshal(map[string]any{"type": "ERROR", "object": statusObject(code)})
			s.write(append(line, '\n'))
			return false
		}
	}
	return s.write(nil)
}

// write sends bytes as the rules say. False: the answer has ended.
func (s *stream) write(data []byte) bool {
	if s.cut != nil && s.cut.removed() {
		s.cut = nil
	}
	ends := s.cut != nil && len(data) >= s.left
	if ends {
		data = data[:s.left]
	}
	s.left -= len(data)
	for s.drip != nil && !s.drip.removed() && len(data) > 0 {
		s.send(data[:1])
		data = data[1:]
		pause(s.q.Context(), s.drip)
	}
	s.send(data)
	if ends && !s.cut.Clean {
		panic(http.ErrAbortHandler)
	}
	return !ends
}

func (s *stream) send(data []byte) {
	if len(data) == 0 {
		return
	}
	if _, err := s.w.Write(data); err != nil {
		panic(http.ErrAbortHandler)
	}
	if err := s.out.Flush(); err != nil {
		panic(http.ErrAbortHandler)
	}
}
