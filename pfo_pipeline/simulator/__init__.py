"""A simulated Powens on loopback, over real HTTP, with a virtual clock and faults.

All domains are served from one port: the base URL of `smith-sandbox` is `http://127.0.0.1:PORT/smith-sandbox/2.0`.
Every answer is a function of the seed, the calls made and the clock.

Webhooks are registered with the config token (`/webhooks`, `/webhooks/auth`). They are posted in the background; the world
never waits for a receiver.

The webview is at `http://127.0.0.1:PORT/webview/{lang}/connect` and `/reconnect` with the documented query, and works
without scripts: follow its forms, or post the fields of several pages at once, e.g. `connector` (uuid) and
`accounts=all`. It returns only to a domain's `redirect_uris`; without any it refuses everybody.

Not simulated: transactions, the balances endpoint, connection logs, Pay, documents.

Admin routes (JSON, no token, loopback only; `D` is a domain's name):

    GET    /admin/health
    GET    /admin/clock                                -> {now, paris}
    POST   /admin/clock                                {now} or {advance_seconds}; forward only
    POST   /admin/domains                              {domain, client_id?, client_secret?, rate_limit_per_minute?,
                                                        page_size?, sync_seconds?, forced_sync_interval_seconds?,
                                                        webhooks_gzip?, redirect_uris?}
                                                       -> {domain, base_url, client_id, client_secret,
                                                           users_token, config_token}
    PATCH  /admin/domains/D                            any of the settings
    DELETE /admin/domains/D/rate-limit                 opens a new minute
    POST   /admin/domains/D/users                      {id?} -> {id, token}
    POST   /admin/domains/D/users/U/connections        {connector?, state?, source_states?, accounts?, ...}
                                                       -> {id, source_ids, account_ids}
    PATCH  /admin/domains/D/connections/C              any field of a connection
    DELETE /admin/domains/D/connections/C
    POST   /admin/domains/D/connections/C/accounts     an account -> {id}
    PATCH  /admin/domains/D/accounts/A                 any field of an account
    DELETE /admin/domains/D/accounts/A
    POST   /admin/domains/D/renumber                   {connections?, accounts?: [id], numbers?, disabled?,
                                                        erased?, source?}
                                                       -> {connections, accounts}: new ids by the old ones
    POST   /admin/worlds                               {domain, seed?, members?, connections?, accounts?, redirect_uris?}
                                                       -> as /admin/domains, and users: [{id, token, connections:
                                                           [{id, source_ids, account_ids}]}]
    GET    /admin/truth?domain=D&since=                -> {now, users, connections, accounts: [{..., figures: [{
                                                           shown_from, as_of, balance, coming, currency}]}],
                                                           same_bank_account: [[id]]}; erased records included
    POST   /admin/domains/D/connections/C/sync         runs the daily sync now
    GET    /admin/webhooks                             -> {posts: [{event, url, id_webhook_data, status, fault}],
                                                           pending}; status null: no answer in time, 0: no connection
    POST   /admin/webhooks/flush                       waits until all pending posts were tried; answers the same
    POST   /admin/webhooks/faults                      {kind, domain?, event?, times?, age_seconds?}
    POST   /admin/faults                               {kind, domain?, user?, method?, path?, times?, skip?, ...}
    GET    /admin/faults     DELETE /admin/faults
    GET    /admin/journal?domain=&since=               -> {entries: [{seq, clock, method, domain, path, query,
                                                           user, status, fault}]}
    DELETE /admin/journal

Connections and accounts use the wire's field names. Times are ISO 8601 or the wire form (Paris), true means now, null or false
means never; money is a number or a string, exact in both forms. `connector` is a uuid, name, slug or id. `source_states` maps
a
source's name to its state. Accounts also have these keys: `moves` (false: the balance does not change), `known` (false: few
values, as before the first sync), `numbers_as_strings`, `lag_seconds` (age of balances when they arrive), `buys` (purchases
are
generated), `pending` ([{amount, days, dropped}]: the operations in `coming`, each posted or dropped that many days later),
and, for a new account, `same_as` (an account id: another record of the same bank account, with the same movements).
A correction is a PATCH of `balance`, a late balance one of `balance` and `last_update`.
Renumbering: `numbers` is `same`, `reformatted` or `absent`; a returning account is `disabled` unless false; a single account's
old record is marked deleted, or `erased`; `source` names the source that finds it. A world has `connections` per member
and `accounts` per connection, of all types and currencies, and for two members a joint account. Unknown keys, values
of another type, and everything under `verbatim` go to the wire unchanged.

Fault kinds: `status` (`status`, `code`, `retry_after`), `html` (a gateway's 503 page), `slow` (`seconds` of real
time), `reset` (no byte of an answer), `truncated` (half of the promised body), `body` (`body` or `body_base64`,
`repeat`, `status`, `content_type`, `headers`), `endless` (the same body every `seconds`, in chunks that never end).
`path` is a regular expression searched in the path after `/2.0`; `times` is 1 by default, null means until cleared; `skip`
lets the first calls through. With `executed: true` the call takes effect and only its answer is lost.

Faults of webhooks apply to the next `times` posts: `lose`, `duplicate`, `reorder` (pending posts in reverse order),
`forge` (a forged post before the real one), `stale` (signed `age_seconds` ago, by default a month).
"""

from pfo_pipeline.simulator.server import Options, build_bench, build_server, listen, run, url_of

__all__ = ["Options", "build_bench", "build_server", "listen", "run", "url_of"]
