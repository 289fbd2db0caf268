package server

import "context"

// ready reports why the server cannot do its work now; nil where it can.
func (s *Server) ready(ctx context.Context) error {
	if err := s.keys.Trouble(); err != nil {
		return err
	}
	return s.db.Writable(ctx)
}
