-- A REGISTER by both doors: what api.sip_register_many does of its own must be what api.sip_register does. Alice's
-- phones come by the first, bob's by the second, with the same requests in the same order; each row is compared.
begin;
select plan(30);
\o /dev/null
\ir setup.inc
insert into app.agent (name, boot) values ('doors', 'b');
select app.credential_put('alice@example.net', 'alice', 'example.net', 'MD5', md5('alice:example.net:pw'), '');
select app.credential_put('bob@example.net', 'bob', 'example.net', 'MD5', md5('bob:example.net:pw'), '');
\o

create function pg_temp.same(p_text text) returns text language sql as $$
	select regexp_replace(replace(replace(p_text, 'alice', '*'), 'bob', '*'), '"(id|account_id|credential_id|version)": \d+', '', 'g') $$;
create function pg_temp.agent() returns int language sql as $$ select g.id from app.agent g where g.name = 'doors' $$;
-- One REGISTER of one contact; its answer.
create function pg_temp.register(p_name text, p_call text, p_cseq int, p_contact jsonb, p_more jsonb) returns setof text
language plpgsql as $$
declare
	v_name text := p_name || '@example.net';
	v_key text := 'sip:' || p_name || '-' || (p_contact ->> 'at');
	v_contact jsonb := jsonb_build_object('contact', v_key, 'key', v_key, 'expires', 600) || (p_contact - 'at');
	v_more jsonb := '{"flow": "udp:192.0.2.1:5060", "user_agent": "doors"}' || p_more;
	v_cred app.credential;
begin
	select c.* into v_cred from app.credential c where c.username = p_name;
	if p_name = 'alice' then
		return query select pg_temp.same((to_jsonb(r) - 'i' - 'bell')::text) from api.sip_register_many(pg_temp.agent(), jsonb_build_array(
			v_contact || v_more || jsonb_build_object('i', 0, 'credential', v_cred.id, 'ha1', v_cred.ha1, 'aor', v_name,
				'call_id', p_call || p_name, 'cseq', p_cseq))) r order by r.n;
	else
		return query select pg_temp.same((to_jsonb(r) - 'bell')::text) from api.sip_register(pg_temp.agent(), v_cred.id, v_cred.ha1, v_name,
			p_call || p_name, p_cseq, jsonb_build_array(v_contact), false, v_more ->> 'path', v_more ->> 'flow',
			v_more ->> 'user_agent') r order by r.n;
	end if;
end $$;
-- All that is kept of an account's logins.
create function pg_temp.rows(p_name text) returns setof text language sql as $$
	select pg_temp.same(to_jsonb(l)::text) from app.login l join app.account a on a.id = l.account_id
	where a.email = p_name || '@example.net'
	union all
	select 'next ' || r.next_n from app.resource r join app.account a on a.id = r.id
	where r.kind = 'login' and a.email = p_name || '@example.net'
	order by 1 $$;
create function pg_temp.both(p_what text, p_call text, p_cseq int, p_contact jsonb, p_more jsonb default '{}')
returns setof text language plpgsql as $$
declare
	v_many text[] := array(select * from pg_temp.register('alice', p_call, p_cseq, p_contact, p_more));
	v_alone text[] := array(select * from pg_temp.register('bob', p_call, p_cseq, p_contact, p_more));
begin
	return next isnt(v_many, '{}', p_what || ': is not left out');
	return next is(v_many, v_alone, p_what || ': the same answer');
	return next is(array(select * from pg_temp.rows('alice')), array(select * from pg_temp.rows('bob')), p_what || ': the same rows');
end $$;

select pg_temp.both('a new contact', 'a', 1, '{"at": "x@192.0.2.1"}');
select pg_temp.both('a refresh with another priority', 'a', 2, '{"at": "x@192.0.2.1", "expires": 900, "q": 0.25}');
select pg_temp.both('from another connection, through a proxy', 'a', 3, '{"at": "x@192.0.2.1"}',
	'{"flow": "tcp:192.0.2.9:1", "path": "<sip:192.0.2.9;lr>", "user_agent": "other"}');
select pg_temp.both('a second contact, for longer than may be', 'b', 1, '{"at": "y@192.0.2.1", "expires": 4000000}');
\o /dev/null
select r.n from (values ('alice'), ('bob')) v (name), api.login_register(null, pg_temp.proof(v.name), 'me', 'sip:' || v.name || '-z@192.0.2.1',
	'sip:' || v.name || '-z@192.0.2.1', 300, '{"presence": {"note": "in"}, "own": [1.50, null]}', null) r;
\o
select pg_temp.both('a name and features', 'a', 4, '{"at": "x@192.0.2.1", "name": "Desk \"1\"",
	"params": ";audio;methods=\"INVITE, ACK\";+sip.x=\"a;b\""}');
select pg_temp.both('they are gone with the next', 'a', 5, '{"at": "x@192.0.2.1"}');
select pg_temp.both('it listens for connections', 'a', 6, '{"at": "x@192.0.2.1", "dials": true}', '{"flow": "tcp:b:1"}');
select pg_temp.both('a contact that REST has made', 'c', 1, '{"at": "z@192.0.2.1"}');
select pg_temp.both('the same phone again', 'c', 2, '{"at": "z@192.0.2.1", "q": 1}');
select pg_temp.both('after a restart, with a Call-ID of its own', 'd', 1, '{"at": "x@192.0.2.1"}');

select * from finish();
rollback;
