package main

import "github.com/spf13/cobra"

func (a *app) loginCommand() *cobra.Command       { return group(&cobra.Command{Use: "login"}) }
func (a *app) logoutCommand() *cobra.Command      { return group(&cobra.Command{Use: "logout"}) }
func (a *app) authCommand() *cobra.Command        { return group(&cobra.Command{Use: "auth"}) }
func (a *app) connectCommand() *cobra.Command     { return group(&cobra.Command{Use: "connect"}) }
func (a *app) disconnectCommand() *cobra.Command  { return group(&cobra.Command{Use: "disconnect"}) }
func (a *app) connectionsCommand() *cobra.Command { return group(&cobra.Command{Use: "connections"}) }
func (a *app) apiKeyCommand() *cobra.Command      { return group(&cobra.Command{Use: "api-key"}) }
func (a *app) orgCommand() *cobra.Command         { return group(&cobra.Command{Use: "org"}) }
