# SPDX-License-Identifier: BSL-1.0
# shellcheck shell=bash disable=SC2034,SC2154,SC2016,SC2164
#
# sqlite3: tables, indices, joins, text; the dump must be the same.
packages='sqlite3'
processes='sqlite3'

work() {
  local rows=${quick:+30000}
  sqlite3 data.db <<END
pragma journal_mode=off; pragma synchronous=off; pragma cache_size=-200000;
create table t(id integer primary key, a integer, b text);
with recursive n(i) as (select 1 union all select i + 1 from n where i < ${rows:-400000})
  insert into t select i, (i * 7919) % 10007, printf('%08x-%s', i * 2654435761 % 4294967296, hex(i)) from n;
create index by_a on t(a); create index by_b on t(b);
select a, count(*), group_concat(substr(b, 1, 2), '') from t group by a order by a limit 200;
select count(*) from t x join t y on x.a = y.a where x.id < 2000;
update t set b = b || b where a % 3 = 0;
delete from t where a % 5 = 0;
vacuum;
pragma integrity_check;
END
  sqlite3 data.db .dump | sha256sum
  rm data.db
}
