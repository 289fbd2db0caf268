package cloud

import "github.com/labstack/echo/v4"

func (c *Cloud) routePages(e *echo.Echo)                    {}
func (c *Cloud) errorPage(ctx echo.Context, err error) bool { return false }
