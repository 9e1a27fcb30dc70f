package conformance

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// ServersVariable names the environment variable with the address where servers are handed out.
const ServersVariable = "EVENTFOLD_CONFORMANCE_SERVERS"

// Servers opens connections to servers that another program runs and hands out.
type Servers struct {
	desk string

	mutex  sync.Mutex
	shared map[string]*grpc.ClientConn
	leases []net.Conn
}

// ServersOfEnvironment finds who hands out servers; nil if nobody does.
func ServersOfEnvironment() *Servers {
	desk := os.Getenv(ServersVariable)
	if desk == "" {
		return nil
	}
	return &Servers{desk: desk, shared: map[string]*grpc.ClientConn{}}
}

// Open is an Opener. One connection serves all cases on a shared server, as in a program.
func (s *Servers) Open(target string) (*grpc.ClientConn, func(), error) {
	if target == "fresh" {
		conn, lease, err := s.lease(target)
		if err != nil {
			return nil, nil, err
		}
		return conn, func() { _, _ = conn.Close(), lease.Close() }, nil
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.shared[target] == nil {
		conn, lease, err := s.lease(target)
		if err != nil {
			return nil, nil, err
		}
		s.shared[target] = conn
		s.leases = append(s.leases, lease)
	}
	return s.shared[target], func() {}, nil
}

// lease asks for a server: it is ours as long as the connection to the desk is open.
func (s *Servers) lease(target string) (*grpc.ClientConn, net.Conn, error) {
	lease, err := net.Dial("tcp", s.desk)
	if err != nil {
		return nil, nil, err
	}
	conn, err := connect(lease, target)
	if err != nil {
		return nil, nil, errors.Join(err, lease.Close())
	}
	return conn, lease, nil
}

func connect(lease net.Conn, target string) (*grpc.ClientConn, error) {
	if _, err := fmt.Fprintln(lease, target); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(lease).ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("no server was handed out: %w", err)
	}
	return grpc.NewClient(
		"passthrough:///"+strings.TrimSpace(line),
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDisableRetry(),
	)
}
