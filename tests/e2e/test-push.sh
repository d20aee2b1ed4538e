#!/usr/bin/env bash
# A project's life from the developer's side: provision, push, push again, look, roll back, remove.
. "$(dirname "$0")/lib.sh"

who_am_i() {
	contains "$(hk whoami)" "$key_name" && contains "$(hk whoami --json)" '"success": ?true'
}
check "whoami names the key" who_am_i

provision_node() {
	hk provision shop --node && inside id shop && contains "$(hk project list)" shop &&
		contains "$(inside cat /home/shop/.env)" '^PORT=8[0-9]{3}$'
}
check "provision makes a project" provision_node

provision_again() {
	local before after
	before=$(inside cat /home/shop/.env)
	contains "$(hk provision shop --node)" 'shop exists already' || return 1
	after=$(inside cat /home/shop/.env)
	equal "$before" "$after" && status_is 1 hk provision shop --static
}
check "provisioning again changes nothing" provision_again

provision_repairs() {
	local out
	inside sh -c 'mv /home/shop/.env /tmp/env.shop; rm /etc/nginx/sites-enabled/hostkit-shop'
	out=$(hk provision shop --node) || fail "$out" || return 1
	contains "$out" '/home/shop/.env' && contains "$out" 'site of shop' && lacks "$out" 'Creating the user' &&
		inside cmp /home/shop/.env /tmp/env.shop && inside test -e /etc/nginx/sites-enabled/hostkit-shop
}
check "provisioning again adds what is missing" provision_repairs

# nginx refuses everything for as long as somebody else's site is broken
repair_fails() {
	inside sh -c 'echo "broken {" > /etc/nginx/sites-enabled/somebody; rm /etc/nginx/sites-enabled/hostkit-shop;
		echo keep > /home/shop/shared/keep'
	hk provision shop --node && fail "it succeeded" && return 1
	inside rm /etc/nginx/sites-enabled/somebody
	inside test -e /home/shop/shared/keep && inside id shop && hk provision shop --node &&
		inside test -e /etc/nginx/sites-enabled/hostkit-shop
}
check "a repair that fails takes nothing away" repair_fails

unhealthy_first() {
	local out
	hk provision frail --node > /dev/null && new_app frail hello-node || return 1
	printf 'console.error("frail: not today");\nprocess.exit(3);\n' > "$scratch/frail/index.js"
	commit frail "crash at start"
	out=$(push frail) && fail "push succeeded" && return 1
	contains "$out" 'frail: not today' && lacks "$out" 'internal error' &&
		equal releases/bootstrap "$(live_release frail)" "app" &&
		equal inactive "$(inside systemctl is-active hostkit-frail)" "unit" || return 1
	git -C "$scratch/frail" checkout -q HEAD~1 -- index.js
	commit frail "start" && push frail && page_has frail '[Hh]ello' && hk project delete frail --confirm frail
}
check "a first push that is unhealthy leaves the project as it was" unhealthy_first

new_app shop hello-node
first_push() {
	local out
	out=$(push shop) || fail "push failed" "$out" || return 1
	contains "$out" 'remote: -----> ' && contains "$out" 'npm' && contains "$out" 'remote: =====> ' &&
		contains "$out" 'main -> main' && lacks "$out" $'\e'
}
check "first push of a node app, with npm, goes live" first_push
check "the page is served through nginx" page_has shop '[Hh]ello'

second_push() {
	local before
	before=$(live_release shop)
	sed -i 's/[Hh]ello/Good morning/' "$scratch/shop/index.js"
	commit shop "greet differently" && push shop || return 1
	page_has shop 'Good morning' && [ "$before" != "$(live_release shop)" ]
}
check "second push replaces it" second_push

layout() {
	equal shop "$(inside stat -c %U /home/shop/app/index.js)" owner &&
		equal 750 "$(inside stat -c %a /home/shop)" mode &&
		equal 600 "$(inside stat -c %a /home/shop/.env)" mode &&
		contains "$(live_release shop)" '^releases/[0-9]{8}-[0-9]{6}$' &&
		inside test -f /var/log/projects/shop/app.log &&
		inside systemctl is-enabled hostkit-shop.service
}
check "the files lie where the layout says" layout

same_push() {
	contains "$(push shop)" 'Everything up-to-date'
}
check "pushing the same again is up to date" same_push

failing_npm() {
	local before out
	before=$(live_release shop)
	cp "$scratch/shop/package.json" "$scratch/package.json.good"
	rm -f "$scratch/shop/package-lock.json"
	sed -i 's/"dependencies": *{/"dependencies": { "no-such-package-of-anybody-4711": "1.0.0",/' "$scratch/shop/package.json"
	grep -q no-such-package "$scratch/shop/package.json" || fail "the example has no dependencies" || return 1
	commit shop "break npm"
	out=$(push shop) && fail "push succeeded" "$out" && return 1
	contains "$out" '\[remote rejected\] main -> main \(build failed\)' &&
		equal "$before" "$(live_release shop)" "live release" && page_has shop 'Good morning'
}
check "a failing npm rejects the push and nothing changes" failing_npm

push_retry() {
	local out
	out=$(push shop) && fail "push succeeded" && return 1
	lacks "$out" 'Everything up-to-date' && contains "$out" 'build failed'
}
check "pushing the failed commit again tries again" push_retry

failing_start() {
	local before out
	git -C "$scratch/shop" reset -q --hard HEAD~1
	before=$(live_release shop)
	printf 'console.error("boom: no database today");\nprocess.exit(3);\n' > "$scratch/shop/index.js"
	commit shop "crash at start"
	out=$(push shop -f hostkit main) && fail "push succeeded" "$out" && return 1
	contains "$out" 'boom: no database today' && contains "$out" 'remote rejected' &&
		equal "$before" "$(live_release shop)" "live release" && wait_for 10 page_has shop 'Good morning'
}
check "an app that dies at start is rejected with its last lines; the old one serves" failing_start

good_again() {
	git -C "$scratch/shop" reset -q --hard HEAD~1
	sed -i 's/Good morning/Good evening/' "$scratch/shop/index.js"
	commit shop "greet in the evening" && push shop && page_has shop 'Good evening'
}
check "a good push after failures" good_again

releases_listed() {
	local out
	out=$(hk releases shop) && contains "$out" '[0-9]{8}-[0-9]{6}' && contains "$out" 'live'
}
check "releases lists them" releases_listed

rollback_twice() {
	hk rollback shop && page_has shop 'Good morning' && hk rollback shop && page_has shop '[Hh]ello'
}
check "rollback twice goes back two" rollback_twice

rollback_to() {
	local newest
	newest=$(hk releases shop --json | python3 -c 'import json,sys
d = json.load(sys.stdin)["data"]
d = d if isinstance(d, list) else d["releases"]
print(next(r["name"] for r in d if r["state"] == "good"))')
	hk rollback shop --to "$newest" && page_has shop 'Good evening'
}
check "rollback --to the newest" rollback_to

wrong_branch() {
	local out
	git -C "$scratch/shop" branch -q staging
	out=$(push shop hostkit staging) && fail "push succeeded" && return 1
	contains "$out" 'staging:main' && lacks "$(git -C "$scratch/shop" ls-remote hostkit)" staging
}
check "another branch is refused with the command to type" wrong_branch

logs_shown() {
	hk restart shop && contains "$(hk logs shop -n 50)" '.'
}
check "logs shows the app's output" logs_shown

restart_is_seen() {
	local out
	hk restart shop && page_has shop 'Good evening' || return 1
	out=$(hk env set shop CRASH=1 --restart) || fail "$out" || return 1
	contains "$out" 'Changed 1 variable' && contains "$out" 'runs again' || return 1
	inside sh -c 'echo "if (process.env.CRASH) { console.error(\"crash as told\"); process.exit(1); }" >> /home/shop/app/index.js'
	out=$(hk restart shop 2>&1) && fail "it succeeded" "$out" && return 1
	contains "$out" 'crash as told' && hk env unset shop CRASH --restart && page_has shop 'Good evening'
}
check "restart waits for the app and says when it does not come up" restart_is_seen

logs_followed() {
	hk logs shop -f -n 1 > "$scratch/follow.log" 2>&1 &
	local pid=$!
	sleep 1
	inside sh -c 'echo "a line for the follower" >> /var/log/projects/shop/app.log'
	wait_for 5 grep -q 'a line for the follower' "$scratch/follow.log"
	local status=$?
	kill $pid
	wait $pid 2> /dev/null
	return $status
}
check "logs -f follows" logs_followed

# the app that runs meanwhile says "stopping" when it is restarted
logs_rotated() {
	hk logs shop -f -n 1 > "$scratch/follow.log" 2>&1 &
	local pid=$! status
	sleep 1
	inside logrotate -f /etc/logrotate.d/hostkit && hk restart shop &&
		wait_for 5 grep -q stopping "$scratch/follow.log"
	status=$?
	kill $pid
	wait $pid 2> /dev/null
	[ $status -eq 0 ] || return 1
	inside sh -c 'zcat /var/log/projects/shop/app.log.1.gz' | grep -q 'a line for the follower' || return 1
	lacks "$(inside cat /var/log/projects/shop/app.log)" 'a line for the follower' || return 1
	contains "$(inside cat /var/log/projects/shop/app.log)" stopping &&
		equal 'shop:shop 640' "$(inside stat -c '%U:%G %a' /var/log/projects/shop/app.log)"
}
check "rotating the logs loses no line and no reader" logs_rotated

environment() {
	hk env set shop "'GREETING=say \"hi\" to \$HOME #1'" || return 1
	equal 'say "hi" to $HOME #1' "$(hk env get shop GREETING)" || return 1
	printf 'from stdin \\ %%n' | hk_in env set shop TOKEN=- || return 1
	equal 'from stdin \ %n' "$(hk env get shop TOKEN)" && hk env unset shop TOKEN &&
		status_is 1 hk env get shop TOKEN && lacks "$(hk env list shop)" TOKEN
}
check "env set, get, unset; values from standard input" environment

environment_protected() {
	local before
	before=$(inside cat /home/shop/.env)
	hk env set shop PORT=9999 && fail "PORT could be set" && return 1
	equal "$before" "$(inside cat /home/shop/.env)"
}
check "env protects PORT" environment_protected

status_shown() {
	contains "$(hk status)" shop && contains "$(hk status shop)" 'running|active' && contains "$(hk jobs shop)" deploy
}
check "status and jobs" status_shown

clone_back() {
	git clone -q hostkit:shop "$scratch/shop-clone" && test -f "$scratch/shop-clone/index.js" &&
		git clone -q --depth 1 hostkit:shop "$scratch/shop-shallow" &&
		equal 1 "$(git -C "$scratch/shop-shallow" rev-list --count HEAD)"
}
check "git clone from the server, shallow too" clone_back

shallow_push() {
	echo "// from CI" >> "$scratch/shop-shallow/index.js"
	git -C "$scratch/shop-shallow" commit -q -a -m "from a shallow clone" &&
		timeout 120 git -C "$scratch/shop-shallow" push origin main
}
check "push from a shallow clone" shallow_push

prune_five() {
	local i n
	for i in 1 2 3 4 5; do
		echo "// $i" >> "$scratch/shop-shallow/index.js"
		git -C "$scratch/shop-shallow" commit -q -a -m "change $i"
		timeout 120 git -C "$scratch/shop-shallow" push -q origin main || return 1
	done
	# pruning happens after the push has returned
	few() {
		n=$(inside sh -c 'ls -d /home/shop/releases/[0-9]* | wc -l')
		[ "$n" -le 6 ]
	}
	wait_for 20 few || fail "$n releases"
}
check "old releases are pruned" prune_five

delete_project() {
	status_is 2 hk project delete shop && hk project delete shop --confirm shop &&
		status_is 3 hk project info shop && ! inside id shop && ! inside test -e /home/shop &&
		! inside test -e /etc/systemd/system/hostkit-shop.service &&
		! inside test -e /var/lib/hostkit/repos/shop.git && ! inside test -e /var/log/projects/shop
}
check "project delete leaves no trace" delete_project

e2e_finish
