package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"
)

// amqp is the proxy before RabbitMQ: it passes AMQP frame by frame.
type amqp struct {
	rules  *rules
	front  *front
	target string
}

// side is one of the two connections of a link.
type side struct {
	net.Conn
	mutex sync.Mutex // a frame is written as a whole
}

// link is a client's connection and the one to the broker.
type link struct {
	rules          *rules
	client, broker *side
	ctx            context.Context

	mutex   sync.Mutex          // of what follows
	names   map[uint16]string   // by channel: the queue or exchange that it spoke of last
	closing map[uint16]farewell // the channels that we close; 0: the connection
}

// farewell is a close that the broker never said. We close the channel there first, so that the client may open it again at once.
type farewell struct {
	rule *rule
	told bool // the client was told, and did not answer yet
}

func (a *amqp) accept(listener net.Listener) error {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		a.front.track(conn, http.StateNew)
		go func() {
			a.serve(conn)
			a.front.track(conn, http.StateClosed)
		}()
	}
}

func (a *amqp) serve(client net.Conn) {
	broker, err := net.Dial("tcp", a.target)
	if err != nil {
		reset(client)
		return
	}
	ctx, end := context.WithCancel(context.Background())
	l := &link{rules: a.rules, client: &side{Conn: client}, broker: &side{Conn: broker}, ctx: ctx,
		names: map[uint16]string{}, closing: map[uint16]farewell{}}
	pump := func(run func() error) {
		if err := run(); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
			log.Print(err)
		}
		end()
	}
	go pump(l.fromClient)
	go pump(l.fromBroker)
	<-ctx.Done()
	client.Close()
	broker.Close()
}

func (l *link) fromClient() error {
	reader := bufio.NewReader(l.client)
	hello := make([]byte, 8) // the protocol header, which is no frame
	if _, err := io.ReadFull(reader, hello); err != nil {
		return err
	}
	if err := l.broker.send(hello); err != nil {
		return err
	}
	for {
		f, err := readFrame(reader)
		if err != nil {
			return err
		}
		if name := f.name(); name != "" {
			l.mutex.Lock()
			l.names[f.channel] = name
			l.mutex.Unlock()
		}
		bye, leaves := l.leaves(f.channel)
		if !leaves {
			err = l.pass(f, l.broker)
		} else if f.method == "connection.close-ok" || f.method == "connection.close" {
			err = io.EOF
		} else if bye.told && f.method == "channel.close-ok" {
			l.forget(f.channel)
		} else if bye.told && f.method == "channel.close" { // both said it at once: the client waits for an answer, too
			err = l.client.send(methodFrameOf(f.channel, 20, 41, nil))
		}
		if err != nil {
			return err
		}
	}
}

func (l *link) fromBroker() error {
	reader := bufio.NewReader(l.broker)
	for {
		f, err := readFrame(reader)
		if err != nil {
			return err
		}
		if bye, leaves := l.leaves(f.channel); !leaves {
			err = l.pass(f, l.client)
		} else if f.method == "channel.close-ok" {
			err = l.tell(f.channel, bye.rule)
		}
		if err != nil {
			return err
		}
	}
}

// pass sends a frame on as the rules say.
func (l *link) pass(f frame, to *side) error {
	l.mutex.Lock()
	name := l.names[f.channel]
	l.mutex.Unlock()
	var drip *rule
	for _, r := range l.rules.meet(atFrame, subject{method: f.method, path: name}, nil) {
		switch r.Act {
		case "delay":
			pause(l.ctx, r)
		case "drip":
			drip = r
		case "drop":
			return nil
		case "status":
			return l.part(f.channel, r)
		case "reset":
			return l.cut(nil, to)
		case "cut":
			return l.cut(f.bytes[:min(r.Bytes, len(f.bytes))], to)
		}
	}
	if drip != nil {
		return to.drip(l.ctx, f.bytes, drip)
	}
	return to.send(f.bytes)
}

// cut resets both connections after the first bytes of a frame.
func (l *link) cut(first []byte, to *side) error {
	err := to.send(first)
	time.Sleep(50 * time.Millisecond) // a reset overtakes what was not read yet
	reset(l.client.Conn)
	reset(l.broker.Conn)
	if err == nil {
		err = io.EOF
	}
	return err
}

// Codes with which a broker closes the connection; with all others it closes the channel.
var hard = map[int]bool{320: true, 402: true, 501: true, 502: true, 503: true, 504: true, 505: true, 530: true, 540: true, 541: true}

// part makes the client believe that the broker closed the channel, or the connection.
func (l *link) part(channel uint16, r *rule) error {
	if hard[r.Status] {
		channel = 0
	}
	if channel == 0 {
		return l.tell(channel, r)
	}
	l.mutex.Lock()
	l.closing[channel] = farewell{rule: r}
	l.mutex.Unlock()
	return l.broker.send(closeFrame(channel, 200, ""))
}

func (l *link) tell(channel uint16, r *rule) error {
	text := "a fault of the test bed"
	if r.Body != nil {
		text = *r.Body
	}
	l.mutex.Lock()
	l.closing[channel] = farewell{rule: r, told: true}
	l.mutex.Unlock()
	return l.client.send(closeFrame(channel, r.Status, text))
}

// leaves tells whether and how the channel is being closed. With the connection all channels are.
func (l *link) leaves(channel uint16) (farewell, bool) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if bye, whole := l.closing[0]; whole {
		return bye, true
	}
	bye, leaves := l.closing[channel]
	return bye, leaves
}

func (l *link) forget(channel uint16) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	delete(l.closing, channel)
}

func (s *side) send(data []byte) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	_, err := s.Write(data)
	return err
}

// drip sends a byte at a time.
func (s *side) drip(ctx context.Context, data []byte, r *rule) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for ; len(data) > 1 && !r.removed(); data = data[1:] {
		if _, err := s.Write(data[:1]); err != nil {
			return err
		}
		pause(ctx, r)
	}
	_, err := s.Write(data)
	return err
}
