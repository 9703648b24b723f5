"""What is to be so in the database whenever nobody writes: queries of what does not fit."""

# What is counted, and what is there: each gives the rows that do not fit.
RECOUNTS = {
    "mailboxes": """select a.id, b.*, m.* from app.account a
        left join app.mailbox b on b.account_id = a.id
        left join lateral (select count(*) as n, coalesce(sum(m.size + m.written), 0) as size,
            count(*) filter (where m.sender is null) as strange, coalesce(sum(m.size + m.written)
                filter (where m.sender is null), 0) as strange_size
            from app.message m where m.account_id = a.id) m on true
        where (coalesce(b.messages, 0), coalesce(b.bytes, 0), coalesce(b.anonymous_messages, 0),
            coalesce(b.anonymous_bytes, 0)) <> (m.n, m.size, m.strange, m.strange_size)""",
    "messages that wait": """select s.id, s.waits, app.send_status(s.id) from app.send s
        where s.waits <> (s.inbox is not null and app.send_status(s.id) in ('queued', 'sending', 'stored'))""",
    "sends without a delivery": "select s.id from app.send s where not exists (select from app.delivery d where d.send_id = s.id)",
    "deliveries of another account": """select d.id from app.delivery d left join app.send s on s.id = d.send_id
        where s.account_id is distinct from d.account_id""",
    "deliveries under way to nobody": """select d.id, d.state from app.delivery d
        left join app.login l on l.id = d.login_id and l.account_id = d.account_id
        where d.kind = 'contact' and d.state in ('queued', 'sending') and l.id is null""",
    "messages to nobody": """select s.id from app.send s where not exists (select from app.account a where a.id = s.account_id)
        and (s.waits or s.inbox is null or not exists (select from app.account_gone g where g.account_id = s.account_id))""",
    "deliveries to nobody": """select d.id, d.state from app.delivery d where d.state in ('queued', 'sending', 'stored')
        and not exists (select from app.account a where a.id = d.account_id)""",
    "claims without a lease": """select d.id from app.delivery d left join app.lease t on t.delivery_id = d.id
        where d.state = 'sending' and t.agent_id is null""",
    "leases without a claim": """select t.* from app.lease t left join app.delivery d on d.id = t.delivery_id
        where t.agent_id is not null and d.state is distinct from 'sending'""",
    "numbers given twice": """select r.kind, r.id from app.resource r where r.next_n <= (case r.kind
            when 'login' then (select max(n) from (select l.n from app.login l where l.account_id = r.id
                union all select s.n from app.send s where s.account_id = r.id) n)
            when 'mailbox' then (select max(m.n) from app.message m where m.account_id = r.id)
            when 'call' then (select max(p.n) from app.participant p where p.call_id = r.id)
            when 'profile' then (select max(c.n) from app.credential c where c.account_id = r.id) end)
        or r.kind = 'login' and r.next_inbox <= (select max(s.inbox) from app.send s where s.account_id = r.id)""",
    "resources of nothing": """select r.kind, r.id from app.resource r
        left join app.account a on r.kind in ('login', 'mailbox', 'profile') and a.id = r.id
        left join app.call c on r.kind = 'call' and c.id = r.id where a.id is null and c.id is null""",
    "accounts and calls without resources": """select a.id from app.account a where 3 <> (
            select count(*) from app.resource r where r.kind in ('login', 'mailbox', 'profile') and r.id = a.id)
        union all select c.id from app.call c where not exists (
            select from app.resource r where r.kind = 'call' and r.id = c.id)""",
    "who sees a call": """with rule as (
            select c.id, o.account_id, bool_or(o.inside) as inside from app.call c cross join lateral (
                select c.owner_id as account_id, false as inside
                union all select p.account_id, true from app.participant p where p.call_id = c.id and p.state <> 'left'
                union all select i.account_id, true from app.invitation i where i.call_id = c.id) o
            where c.state <> 'ended' group by 1, 2)
        select * from rule r full join app.call_seer s on s.call_id = r.id and s.account_id = r.account_id
        where r.inside is distinct from s.inside""",
    "legs without an end": """select l.id, l.state, c.state from app.leg l left join app.call c on c.id = l.call_id
        where l.state <> 'ended'""",
    "orders for nobody": "select j.leg_id, j.agent_id, j.kind from app.leg_job j join app.leg l on l.id = j.leg_id where l.state = 'ended'",
    # a ring to pages has an end of its own, and its send may have gone to the bounds of the load
    "who is in a call by a phone that has gone": """select p.call_id, p.id, p.state from app.participant p
        join app.call c on c.id = p.call_id and c.state <> 'ended'
        where p.side <> 'in' and p.state <> 'left' and not p.web and coalesce(p.ring_until, '-infinity') < now()
            and not exists (select from app.leg l where l.participant_id = p.id and l.state <> 'ended')""",
    "calls of two with fewer": """select c.id from app.call c where c.ends_alone and c.state <> 'ended' and 2 > (
        select count(*) from app.participant p where p.call_id = c.id and p.side <> 'in' and p.state <> 'left')""",
    "rings that go on": """select p.id, p.state from app.participant p join app.call c on c.id = p.call_id
        where p.state in ('calling', 'ringing') and c.state <> 'ended' and p.ring_until is null""",
    # who is kept may be a page, and who comes rings by pages for as long as any
    "transfers of nobody": """select t.call_id, t.state from app.transfer t
        where t.state <> 'undone' and not (t.state = 'ringing' and 2 = (select count(*) from app.participant p
            where p.left_at is null and (p.id = t.kept_id or p.id = t.to_id and p.ring_until > now())))""",
    "calls that dial for nobody": """select c.id from app.call c where c.dials and not exists (
        select from app.participant p where p.call_id = c.id and p.side = 'caller' and p.state <> 'left')""",
    "who has left what has ended": """select p.id, p.state from app.participant p join app.call c on c.id = p.call_id
        where c.state = 'ended' and p.state <> 'left'""",
    "empty calls": """select c.id, c.empty_since from app.call c where c.state <> 'ended' and (c.empty_since is null) <> exists (
        select from app.participant p where p.call_id = c.id and p.state <> 'left')""",
    "results under keys": """select l.account_id, l.written from app.idempotency_log l where l.written < (
        select max(i.place + 256 + octet_length(i.key) + octet_length(i.result::text))
        from app.idempotency i where i.account_id = l.account_id)""",
    "logins that say something else": """select l.id from app.login l join app.account a on a.id = l.account_id
        where l.doc <> app.login_doc(l.n, a.email, l.source, l.contact, l.expires_s, l.expires_at, l.q, l.user_agent, l.extra)
            and l.source <> 'stream' or l.email <> a.email""",
    "lamps that say something else": """select s.id, s.event from app.subscription s
        where s.event in ('conference', 'dialog') and s.ended is null and not s.due and s.until is null
            and s.sum is distinct from app.event_sum(s.event, app.event_doc(s.event, coalesce(s.about_call, s.account_id), 0, null,
                s.watcher_id, app.dialog_legs(s.account_id)))""",
    "what a list's log takes": """select l.*, c.* from app.list_log l cross join lateral (
            select coalesce(sum(c.size), 0) as size from app.list_change c where c.list = l.list and c.xid < l.counted) c
        where l.bytes <> c.size""",
}
