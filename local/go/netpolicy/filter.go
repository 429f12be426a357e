package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// table is where the rules live: "mangle" is asked before "filter", where kube-proxy lets the packets of services
// through that it has marked, and nobody else writes to its FORWARD chain.
const table = "mangle"

const commandBound = 15 * time.Second

// install replaces all rules of ours in one step: no packet meets half of them. Chains that are no longer needed go
// in the same step.
func install(ctx context.Context, r ruleset) error {
	present, err := command(ctx, "", "iptables-save", "-t", table)
	if err != nil {
		return err
	}
	_, err = command(ctx, restoreText(r, present), "iptables-restore", "--wait", "5", "--noflush")
	return err
}

// restoreText is the input of iptables-restore that turns what is present into r. Chains of others stay as they are.
func restoreText(r ruleset, present string) string {
	wanted := map[string]bool{}
	var text strings.Builder
	line := func(words string) { text.WriteString(words + "\n") }
	line("*" + table)
	for _, name := range r.chains {
		wanted[name] = true
		line(":" + name + " - [0:0]")
	}
	jump := "-A FORWARD -j " + forwardChain
	hasJump := false
	var stale []string
	for _, one := range strings.Split(present, "\n") {
		hasJump = hasJump || strings.TrimSpace(one) == jump
		name, _, _ := strings.Cut(strings.TrimPrefix(one, ":"), " ")
		if strings.HasPrefix(one, ":"+prefix) && !wanted[name] {
			stale = append(stale, name)
			line(":" + name + " - [0:0]")
		}
	}
	for _, rule := range r.rules {
		line(rule)
	}
	if !hasJump {
		line(jump)
	}
	for _, name := range stale {
		line("-X " + name)
	}
	line("COMMIT")
	return text.String()
}

// hasRules tells whether an earlier run has left its rules.
func hasRules(present string) bool {
	return strings.Contains(present, "-A FORWARD -j "+forwardChain)
}

func command(ctx context.Context, input, name string, words ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, commandBound)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, words...)
	cmd.Stdin = strings.NewReader(input)
	var out, problem bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problem
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(problem.String()))
	}
	return out.String(), nil
}
