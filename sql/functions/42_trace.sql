-- Why a message is where it is: every attempt at every recipient.

create function app.attempts_doc(p_delivery bigint) returns text
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
begin
	return '[' || coalesce((
		select string_agg('{"attempt":' || t.attempt || ',"contact":' || to_json(t.contact)
			|| ',"agent":' || to_json(g.name) || ',"began_at":"' || app.time_text(t.began_at) || '"'
			|| case when t.ended_at is null then '' else ',"ended_at":"' || app.time_text(t.ended_at) || '"' end
			|| case when t.code is null then ''
				else ',"sip":{"code":' || t.code || ',"reason":' || to_json(coalesce(t.reason, '')) || '}' end
			|| '}', ',' order by t.attempt)
		from app.attempt t join app.agent g on g.id = t.agent_id where t.delivery_id = p_delivery), '') || ']';
end $$;

-- For the sender of a message and its recipient.
create function api.send_trace(p_who text, p_proof bytea, p_email text, p_n bigint)
returns table (version bigint, settled bool, doc text)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_caller bigint := app.caller(p_who, p_proof);
	v_account bigint := app.target(v_caller, p_email);
begin
	return query
		select s.version, true, app.send_head(s.*::app.send, a.email) || ',"recipients":[' || coalesce((
			select string_agg(app.recipient_head(d.*::app.delivery) || ',"attempts":' || app.attempts_doc(d.id) || '}',
				',' order by d.id)
			from app.delivery d where d.send_id = s.id), '') || ']}'
		from app.send s join app.account a on a.id = s.account_id
		where s.account_id = v_account and s.n = p_n and v_caller in (s.sender_id, s.account_id);
	if not found then
		perform app.refuse(404, 'message-not-found', 'There is no such message of yours.');
	end if;
end $$;

grant execute on function api.send_trace to restsip_api;
