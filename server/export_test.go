package server

import "github.com/acebridge/ace/bridge/sqldb"

// Database is what a server keeps its rows in.
func (s *Server) Database() *sqldb.DB { return s.db }
