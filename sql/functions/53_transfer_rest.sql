-- SEND of the command transfer (44_command.sql): what a phone's REFER does, by REST.

-- Whom a SEND of the command names, as `/login/c@x`, or as an email.
create function app.transfer_target(p_to jsonb) returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_email text := case when jsonb_typeof(p_to) = 'string' then substring(p_to #>> '{}' from '^(?:/login/)?([^/:@]{1,64}@[^/:@]{0,188}[^/:@.])\.?$') end;
	v_account bigint;
begin
	select a.id into v_account from app.account a where a.email_key = app.email_key(v_email);
	if v_email is not null and v_account is null then
		perform app.refuse(400, 'invalid-member', format('There is no user %s.', v_email), '/to');
	elsif v_account is null then
		perform app.refuse(400, 'invalid-member', '`to` is whom the other is handed on to, as /login/carol@example.net; '
			|| app.value_text(p_to), '/to');
	end if;
	return v_account;
end $$;

-- The logins of who is kept and of who comes, in order. Who comes may have gone since they were named.
create function app.transfer_lock(p_account bigint, p_to bigint) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	perform from app.resource r where r.kind = 'login' and r.id in (p_account, p_to) order by r.id for update;
	if not exists (select from app.account a where a.id = p_to) then
		perform app.refuse(400, 'invalid-member', 'That user has just gone.', '/to');
	end if;
end $$;

-- What the phone's REFER does: an account is handed on by the other end of theirs, which is the sender, or in the sender's call.
create function app.transfer_by_rest(p_call bigint, p_sender bigint, p_account bigint, p_to bigint) returns text[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_kept app.participant;
	v_leg app.leg;
	v_by app.participant;
begin
	select p.* into v_kept from app.participant p
	where p.call_id = p_call and p.account_id = p_account and p.left_at is null and p.state = 'joined' order by p.n limit 1;
	v_leg := app.part_leg(v_kept.id);
	v_by := case when v_leg.id is not null then app.leg_other(v_leg)
		else app.participant_of((app.page_leg(v_kept)).participant_id) end;
	if v_kept.id is null then
		perform app.refuse(404, 'participant-not-found', format('%s is not in the call.', app.email(p_account)));
	elsif v_by.id is null then
		perform app.refuse(404, 'participant-not-found', format('%s has nobody at the other end who could hand them on: '
			'one of the two is to be there by phone.', app.email(p_account)));
	elsif v_by.account_id <> p_sender and (app.call_is_handed_on(p_call, p_sender)
		or not exists (select from app.call c where c.id = p_call and c.owner_id = p_sender))
	then
		perform app.refuse(404, 'participant-not-found', format('You are not at the other end of %s, nor is the call yours.',
			app.email(p_account)));
	end if;
	if (app.part_leg(v_by.id)).id is null and (
		select count(*) from app.leg l where l.call_id = p_call and l.state in ('answered', 'up')) > 1
	then
		perform app.refuse(409, 'needs-mixer', 'Several phones are at your other end; one of two hands the other on.');
	end if;
	return app.transfer_begin(v_by, v_kept, p_to, 0, p_asks => p_sender);
end $$;
