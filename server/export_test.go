package server

import "github.com/acebridge/ace/bridge/sqldb"

// Database returns the server's database.
func (s *Server) Database() *sqldb.DB { return s.db }
