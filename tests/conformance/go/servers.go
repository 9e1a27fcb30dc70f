package conformance

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"

	eventfold "eventfold.dev/go"
)

// ServersVariable names the environment variable with the address where servers are handed out.
const ServersVariable = "EVENTFOLD_CONFORMANCE_SERVERS"

// Servers opens clients of servers that another program runs and hands out.
type Servers struct {
	desk string

	mutex  sync.Mutex
	shared map[string]*eventfold.Client
	leases []net.Conn
}

// ServersOfEnvironment finds who hands out servers; nil if nobody does.
func ServersOfEnvironment() *Servers {
	desk := os.Getenv(ServersVariable)
	if desk == "" {
		return nil
	}
	return &Servers{desk: desk, shared: map[string]*eventfold.Client{}}
}

// Open is an Opener. One client serves all cases on a shared server, as in a program.
func (s *Servers) Open(target string) (*eventfold.Client, func(), error) {
	if target == "fresh" {
		client, lease, err := s.lease(target)
		if err != nil {
			return nil, nil, err
		}
		return client, func() { _, _ = client.Close(), lease.Close() }, nil
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.shared[target] == nil {
		client, lease, err := s.lease(target)
		if err != nil {
			return nil, nil, err
		}
		s.shared[target] = client
		s.leases = append(s.leases, lease)
	}
	return s.shared[target], func() {}, nil
}

// lease asks for a server: it is ours as long as the connection to the desk is open.
func (s *Servers) lease(target string) (*eventfold.Client, net.Conn, error) {
	lease, err := net.Dial("tcp", s.desk)
	if err != nil {
		return nil, nil, err
	}
	client, err := connect(lease, target)
	if err != nil {
		return nil, nil, errors.Join(err, lease.Close())
	}
	return client, lease, nil
}

func connect(lease net.Conn, target string) (*eventfold.Client, error) {
	if _, err := fmt.Fprintln(lease, target); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(lease).ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("no server was handed out: %w", err)
	}
	return eventfold.Open(strings.TrimSpace(line))
}
