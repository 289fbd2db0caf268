package sqldb

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
)

// connector opens connections that classify errors where they arise, so that no store has to.
type connector struct{ driver.Connector }

func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	inner, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, told(ctx, err)
	}
	_, lite := c.Connector.(named)
	return &conn{inner, lite}, nil
}

// named is a connector for a driver that has none.
type named struct {
	driver driver.Driver
	dsn    string
}

func (n named) Connect(context.Context) (driver.Conn, error) { return n.driver.Open(n.dsn) }
func (n named) Driver() driver.Driver                        { return n.driver }

// Native returns the driver's own connection behind what [database/sql.Conn.Raw] passes.
func Native(raw any) any {
	if c, ok := raw.(*conn); ok {
		return c.Conn
	}
	return raw
}

// told classifies a driver's error. An error due to a cancelled request says so.
func told(ctx context.Context, err error) error {
	switch {
	case err == nil, err == io.EOF, err == driver.ErrSkip: //nolint:errorlint // database/sql compares them likewise
		return err
	case errors.Is(ctx.Err(), context.Canceled) && !errors.Is(err, context.Canceled):
		return fmt.Errorf("%w: %w", context.Canceled, err)
	}
	return Classify(err)
}

type conn struct {
	driver.Conn
	lite bool // SQLite's
}

// Close closes the connection. SQLite empties its write-ahead log into the file with the last one, unless the last query of that
// connection was interrupted: one more statement makes it forget that.
func (c *conn) Close() error {
	if c.lite {
		_, _ = c.Conn.(driver.ExecerContext).ExecContext(context.Background(), "SELECT 1", nil)
	}
	return c.Conn.Close()
}

func (c *conn) Prepare(query string) (driver.Stmt, error) {
	return c.PrepareContext(context.Background(), query)
}

func (c *conn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	s, err := c.Conn.(driver.ConnPrepareContext).PrepareContext(ctx, query)
	if err != nil {
		return nil, told(ctx, err)
	}
	return &stmt{s}, nil
}

func (c *conn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	t, err := c.Conn.(driver.ConnBeginTx).BeginTx(ctx, opts)
	if err != nil {
		return nil, told(ctx, err)
	}
	return tx{t}, nil
}

func (c *conn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	r, err := c.Conn.(driver.ExecerContext).ExecContext(ctx, query, args)
	return r, told(ctx, err)
}

func (c *conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	r, err := c.Conn.(driver.QueryerContext).QueryContext(ctx, query, args)
	if err != nil {
		return nil, told(ctx, err)
	}
	return &rows{r, ctx}, nil
}

func (c *conn) Ping(ctx context.Context) error { return told(ctx, c.Conn.(driver.Pinger).Ping(ctx)) }

func (c *conn) ResetSession(ctx context.Context) error {
	if r, ok := c.Conn.(driver.SessionResetter); ok {
		return r.ResetSession(ctx)
	}
	return nil
}

func (c *conn) IsValid() bool {
	v, ok := c.Conn.(driver.Validator)
	return !ok || v.IsValid()
}

func (c *conn) CheckNamedValue(v *driver.NamedValue) error {
	if checker, ok := c.Conn.(driver.NamedValueChecker); ok {
		return checker.CheckNamedValue(v)
	}
	return driver.ErrSkip
}

type stmt struct{ driver.Stmt }

func (s *stmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	r, err := s.Stmt.(driver.StmtExecContext).ExecContext(ctx, args)
	return r, told(ctx, err)
}

func (s *stmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	r, err := s.Stmt.(driver.StmtQueryContext).QueryContext(ctx, args)
	if err != nil {
		return nil, told(ctx, err)
	}
	return &rows{r, ctx}, nil
}

type tx struct{ driver.Tx }

func (t tx) Commit() error   { return told(context.Background(), t.Tx.Commit()) }
func (t tx) Rollback() error { return told(context.Background(), t.Tx.Rollback()) }

type rows struct {
	driver.Rows
	ctx context.Context //nolint:containedctx // of the query that these rows belong to
}

func (r *rows) Next(dest []driver.Value) error { return told(r.ctx, r.Rows.Next(dest)) }

// HasNextResultSet and NextResultSet serve queries of several statements, which only SQLite accepts.
func (r *rows) HasNextResultSet() bool {
	n, ok := r.Rows.(driver.RowsNextResultSet)
	return ok && n.HasNextResultSet()
}

func (r *rows) NextResultSet() error {
	if n, ok := r.Rows.(driver.RowsNextResultSet); ok {
		return told(r.ctx, n.NextResultSet())
	}
	return io.EOF
}
