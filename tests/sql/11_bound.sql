-- Bounds and settings: none can be so large that nothing goes on.
begin;
select plan(5);
\o /dev/null
\ir setup.inc
\o

select throws_ok(format('select inspect.set_bound(%L, %s)', s.name, app.bound_most(s.unit) + 1), 'RS400', null,
	'send_kept has an end')
from app.setting s where s.name = 'send_kept';
select throws_ok($$select inspect.keep_history('101 years')$$, 'RS400', null, 'so has history');
select inspect.set_bound(s.name, app.bound_most(s.unit)) from app.setting s where s.amount is not null \g /dev/null
select inspect.keep_history('100 years') \g /dev/null
select pg_temp.do_duties() \g /dev/null
select is_empty('select name, failure from app.duty where failed_at >= now()',
	'with everything as large as it may be the janitor does all of its duties');
select is(app.bound('send_kept'), 36500::bigint, 'which is a hundred years of days');
select lives_ok($$select * from inspect.bound$$, 'and it is shown');

select * from finish();
rollback;
