-- SPDX-License-Identifier: BSL-1.0
create table item (id integer primary key, kind integer, name text, payload blob);
begin;
with recursive n(i) as (select 1 union all select i + 1 from n where i < 150000)
insert into item select i, i * 7919 % 1009, 'name ' || (i * 104729 % 99991), zeroblob(i % 200) from n;
commit;
create index item_kind on item (kind);
create index item_name on item (name);
select count(*), sum(length(payload)) from item where kind between 100 and 300;
select kind, count(*) as many, group_concat(substr(name, 6)) from item group by kind order by many desc, kind limit 5;
select count(*) from item a join item b on a.name = b.name and a.id < b.id;
update item set name = name || ' again' where kind % 3 = 0;
delete from item where kind % 5 = 0;
select count(*), count(distinct name), max(name) from item;
