package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/acebridge/ace/cmd/ace/internal/cmdline"
)

// groups order what `ace --help` lists, as a newcomer needs it.
var groups = []struct {
	title    string
	commands []string
}{
	{"Get started:", []string{"login", "logout", "auth", "connect"}},
	{"Connections and keys:", []string{"connections", "disconnect", "api-key", "scan", "why", "doctor"}},
	{"Organization:", []string{"org"}},
	{"Run it yourself:", []string{"dev", "server", "cloud"}},
	{"Other commands:", []string{"completion", "version"}},
}

// examples are the examples of each command's help, by the command's path. A test checks that each would be accepted.
var examples = map[string]string{
	"": `
ace login
ace connect --server https://ace.company.com
ace -i`,
	"login": `
ace login
ace login --no-browser --env cloud.company.com
ace login --email ada@company.com --password-stdin`,
	"login pat": `
ace login pat --token -
ace login pat --token file:/run/secrets/ace-token`,
	"login api-key": `
ace login api-key --name ci --secret -
ace login api-key --name ci --secret file:/run/secrets/ace-key --organization-id org-123`,
	"logout": `
ace logout
ace logout --profile staging`,
	"auth login": `
ace auth login --env cloud.company.com
ace auth login --non-interactive`,
	"auth login pat": `
ace auth login pat --token -`,
	"auth login api-key": `
ace auth login api-key --name ci --secret -`,
	"auth login-token": `
ace auth login-token --token -
ace auth login-token --token file:token.txt`,
	"auth login-api-key": `
ace auth login-api-key --key - --service-name terraform-prod`,
	"auth logout": `
ace auth logout`,
	"auth me": `
ace auth me
ace auth me -o json`,
	"auth address": `
ace auth address
ace auth address ada@company.com
ace auth address ada@company.com --password-stdin
ace auth address --cancel`,
	"auth status": `
ace auth status
ace auth status --output json`,
	"auth list": `
ace auth list`,
	"auth switch": `
ace auth switch
ace auth switch staging`,
	"auth token": `
ace auth token
ace auth token -o json`,
	"connect": `
ace connect
ace connect --server https://ace.company.com --name production
ace connect --server https://ace.company.com --api-key -`,
	"disconnect": `
ace disconnect
ace disconnect production
ace disconnect --all --yes`,
	"connections list": `
ace connections list
ace connections list -o wide
ace connections list -o json`,
	"connections share": `
ace connections share production
ace connections share production --preset read-only
ace connections share production --no-ceiling`,
	"connections unshare": `
ace connections unshare production`,
	"connections sharing": `
ace connections sharing production
ace connections sharing production -o json`,
	"connections limit": `
ace connections limit production ada@company.com --preset read-only
ace connections limit production key:ci --none`,
	"connections unlimit": `
ace connections unlimit production ada@company.com`,
	"connections check": `
ace connections check production
ace connections check https://ace.company.com`,
	"api-key create": `
ace api-key create --name ci --preset read-only --expires 30d
ace api-key create --name ci --allow-from 203.0.113.0/24 --rate 100/m
ace api-key create --server https://ace.company.com --token - --name terraform-prod --description "IaC for production"`,
	"api-key list": `
ace api-key list
ace api-key list --server https://ace.company.com -o json`,
	"api-key revive": `
ace api-key revive ci
ace api-key revive 01a1fc30-3fc5-7603-bc83-1f1313f67ee9 --expires 30d`,
	"api-key rotate": `
ace api-key rotate ci
ace api-key rotate ci --grace 7d`,
	"api-key revoke": `
ace api-key revoke ci
ace api-key revoke 01a1fc30-3fc5-7603-bc83-1f1313f67ee9`,
	"api-key disable": `
ace api-key disable ci`,
	"api-key enable": `
ace api-key enable ci`,
	"api-key scopes": `
ace api-key scopes
ace api-key scopes --server https://ace.company.com -o yaml`,
	"why": `
ace why 0RDZ6ZKMQ4
ace why 0RDZ6ZKMQ4 --server https://ace.company.com`,
	"scan": `
ace scan
ace scan src config.yaml
ace scan -`,
	"doctor": `
ace doctor
ace doctor --server production
ace doctor --server https://ace.company.com -o json
ace doctor --bundle support.zip`,
	"org list": `
ace org list`,
	"org create": `
ace org create acme --name "Acme Inc."`,
	"org rename": `
ace org rename "Acme Inc."`,
	"org switch": `
ace org switch acme`,
	"org members": `
ace org members
ace org members -o json`,
	"org audit": `
ace org audit --since 24h
ace org audit --since 2026-01-01 --until 2026-01-31 --action member.remove
ace org audit --action key.create --format csv`,
	"org role": `
ace org role ada@company.com admin`,
	"org remove": `
ace org remove ada@company.com`,
	"org leave": `
ace org leave`,
	"org invite": `
ace org invite --email ada@company.com
ace org invite --role viewer --expires 1d`,
	"org invitations": `
ace org invitations`,
	"org withdraw": `
ace org withdraw ada@company.com`,
	"org join": `
ace org join "https://cloud.company.com/invite?token=TOKEN"`,
	"org join-token": `
ace org join-token create
ace org join-token list`,
	"org join-token create": `
ace org join-token create
ace org join-token create --name fleet --uses 20 --expires 7d --tag berlin --share
ace org join-token create -o json`,
	"org join-token list": `
ace org join-token list
ace org join-token list -o json`,
	"org join-token revoke": `
ace org join-token revoke fleet
ace org join-token revoke 01a1fc30-3fc5-7603-bc83-1f1313f67ee9`,
	"org trust": `
ace org trust
ace org trust -o json`,
	"server": `
ace server
ace server token --role admin`,
	"server join": `
ace server join -
ace server join file:/run/secrets/join-token --name warehouse`,
	"server leave": `
ace server leave
ace server leave --yes --force`,
	"server status": `
ace server status
ace server status -o json`,
	"server doctor": `
ace server doctor
ace server doctor -o json
ace server doctor --bundle support.zip`,
	"server token": `
ace server token --role admin
ace server token --role member --subject ci --life 1h`,
	"server health": `
ace server health`,
	"server install": `
ace server install --print
ace server install -
ace server install --user
ace server install --system --run-as ace`,
	"server uninstall": `
ace server uninstall
ace server uninstall --yes`,
	"server accept-clock": `
ace server accept-clock`,
	"cloud accept-clock": `
ace cloud accept-clock`,
	"server restore": `
ace server restore --accept
ace server restore --accept --disable-keys`,
	"cloud restore": `
ace cloud restore --accept`,
	"cloud": `
ace cloud
ace cloud user add --email ada@company.com --org acme`,
	"cloud user add": `
ace cloud user add --email ada@company.com --name "Ada Admin" --org acme --role owner
ace cloud user add --email ada@company.com --org acme --password-stdin`,
	"cloud user set-address": `
ace cloud user set-address ada@company.com ada@new.company.com`,
	"cloud init": `
ace cloud init --dir secrets --public-url https://cloud.company.com --org acme`,
	"cloud rotate-encryption-key": `
ace cloud rotate-encryption-key`,
	"cloud accept-missing-key": `
ace cloud accept-missing-key ab12cd34`,
	"cloud health": `
ace cloud health`,
	"cloud new-signing-key": `
ace cloud new-signing-key`,
	"cloud new-encryption-key": `
ace cloud new-encryption-key`,
	"dev": `
ace dev
ace dev --nat
ace dev --data-dir ./dev-data
ace dev --cloud-addr 127.0.0.1:0 --server-addr 127.0.0.1:0`,
	"dev app": `
ace dev app --addr 127.0.0.1:8080`,
	"completion": `
ace completion bash
ace completion zsh
ace completion fish`,
	"version": `
ace version
ace version -o json`,
}

// describe gives every command its examples, and the root its groups.
func describe(root *cobra.Command) {
	for _, g := range groups {
		root.AddGroup(&cobra.Group{ID: g.title, Title: g.title})
		for _, cmd := range root.Commands() {
			for _, name := range g.commands {
				if cmd.Name() == name {
					cmd.GroupID = g.title
				}
			}
		}
	}
	cmdline.Each(root, func(path string, cmd *cobra.Command) {
		if text := examples[path]; cmd.Example == "" {
			cmd.Example = strings.TrimPrefix(strings.ReplaceAll(text, "\n", "\n  "), "\n")
		}
	})
}
