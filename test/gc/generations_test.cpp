// SPDX-License-Identifier: BSL-1.0
//
// When cycles are young, what cards say, and the option.
#include "pace/generations.hpp"

#include <array>
#include <boost/test/unit_test.hpp>
#include <memory>

#include "heap/cards.hpp"
#include "pace/options.hpp"
#include "support/death.hpp"

namespace {

using namespace heddle::gc::detail;
using heddle::testing::death_of;

constexpr std::size_t room = 1600;

/// How many whole cycles follow a young one of which too much has survived, with the one that is due at once.
std::size_t pause_after_failure(generations& g) {
  BOOST_TEST(!g.after_young(room, room, room, room / 2).is_young);
  std::size_t whole = 0;
  do ++whole;
  while (!g.after_whole(room).is_young);
  return whole;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(plans)

BOOST_AUTO_TEST_CASE(young_cycles_follow_until_half_of_the_room_is_used) {
  generations g;
  const auto first = g.after_whole(room);
  BOOST_TEST(first.is_young);
  BOOST_TEST(first.room == room / 4);  // nobody knows yet
  const auto second = g.after_young(room, 10, 1000, room - 10);
  BOOST_TEST(second.is_young);
  BOOST_TEST(second.room == room - 10);
  BOOST_TEST(g.after_young(room, 10, 1000, room / 2).is_young);
  const auto last = g.after_young(room, 10, 1000, room / 2 - 1);
  BOOST_TEST(!last.is_young);
  BOOST_TEST(last.room == room / 2 - 1);
  BOOST_TEST(g.after_whole(room).is_young);
}

BOOST_AUTO_TEST_CASE(there_is_always_some_room) {
  generations g;
  g.after_whole(room);
  BOOST_TEST(g.after_young(room, 10, 1000, 0).room == room / 16);
}

BOOST_AUTO_TEST_CASE(a_third_of_what_is_new_may_survive) {
  for (const std::size_t survived : {400u, 401u}) {
    generations g;
    g.after_whole(room);
    BOOST_TEST(g.after_young(1200, survived, 10'000, room).is_young == (survived == 400));
  }
}

BOOST_AUTO_TEST_CASE(and_half_as_much_as_whole_cycles_find) {
  for (const std::size_t survived : {100u, 101u}) {
    generations g;
    g.after_whole(room);
    BOOST_TEST(g.after_young(1200, survived, 200, room).is_young == (survived == 100));
  }
}

BOOST_AUTO_TEST_CASE(pauses_double_up_to_sixteen) {
  generations g;
  g.after_whole(room);
  for (const std::size_t expected : {1u, 2u, 4u, 8u, 16u, 16u}) BOOST_TEST(pause_after_failure(g) == expected);
  // One that pays makes them short again.
  BOOST_TEST(g.after_young(room, 1, 1000, room).is_young);
  BOOST_TEST(pause_after_failure(g) == 1u);
}

BOOST_AUTO_TEST_CASE(after_a_failure_a_quarter_of_the_room_is_tried) {
  generations g;
  g.after_whole(room);
  g.after_young(room, room, room, room / 2);
  const auto trial = g.after_whole(room);
  BOOST_TEST(trial.is_young);
  BOOST_TEST(trial.room == room / 4);
  g.after_young(room / 4, 1, 1000, room / 2 - 1);
  BOOST_TEST(g.after_whole(room).room == room);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(cards)

alignas(page_size) std::array<void*, 2 * page_size / sizeof(void*)> memory;
std::uintptr_t at(std::size_t offset) { return reinterpret_cast<std::uintptr_t>(memory.data()) + offset; }
void** slot(std::size_t offset) { return reinterpret_cast<void**>(at(offset)); }

void forget_all() {
  for (const std::size_t page : {std::size_t{0}, page_size}) {
    the_cards.take_page(at(page));
    the_cards.forget_page(at(page));
  }
}

struct clean {
  clean() {
    BOOST_TEST_REQUIRE(the_cards.begin());
    forget_all();
  }
};

constexpr std::size_t piece = card_table::piece;

BOOST_FIXTURE_TEST_CASE(a_store_writes_that_of_its_piece_alone, clean) {
  BOOST_TEST(piece == 2048u);
  for (const std::size_t offset : {std::size_t{0}, piece - 8, piece, page_size - 8}) {
    note_store(slot(offset));
    for (std::size_t p = 0; p != 2 * page_size; p += piece)
      BOOST_TEST(the_cards.is_clean(at(p)) == (p != offset / piece * piece));
    BOOST_TEST(!the_cards.is_page_clean(at(0)));
    BOOST_TEST(the_cards.is_page_clean(at(page_size)));
    forget_all();
    BOOST_TEST(the_cards.is_page_clean(at(0)));
  }
}

BOOST_FIXTURE_TEST_CASE(what_is_taken_is_looked_at_once, clean) {
  note_store(slot(piece + 8));
  note_store(slot(page_size - 8));
  the_cards.take_page(at(0));
  note_store(slot(2 * piece));  // too late to be taken
  for (const std::size_t offset : {piece, 2 * piece - 1, 2 * piece, page_size - 1})
    BOOST_TEST(!the_cards.is_clean(at(offset)));
  BOOST_TEST(the_cards.is_clean(at(0)));
  the_cards.forget_page(at(0));
  BOOST_TEST(the_cards.is_clean(at(piece)));
  BOOST_TEST(the_cards.is_clean(at(page_size - 8)));
  BOOST_TEST(!the_cards.is_clean(at(2 * piece)));
  BOOST_TEST(!the_cards.is_page_clean(at(0)));
}

BOOST_FIXTURE_TEST_CASE(what_is_taken_stays_until_it_is_forgotten, clean) {
  note_store(slot(0));
  the_cards.take_page(at(0));
  note_store(slot(piece));  // and the first one no more
  the_cards.take_page(at(0));
  BOOST_TEST(!the_cards.is_clean(at(0)));
  BOOST_TEST(!the_cards.is_clean(at(piece)));
}

BOOST_FIXTURE_TEST_CASE(a_range_writes_the_pieces_that_it_lies_in, clean) {
  the_cards.write(slot(piece - 8), slot(piece + 8));
  BOOST_TEST(!the_cards.is_clean(at(0)));
  BOOST_TEST(!the_cards.is_clean(at(piece)));
  BOOST_TEST(the_cards.is_clean(at(2 * piece)));
  forget_all();
  the_cards.write(slot(piece), slot(2 * piece));
  BOOST_TEST(the_cards.is_clean(at(0)));
  BOOST_TEST(!the_cards.is_clean(at(piece)));
  BOOST_TEST(the_cards.is_clean(at(2 * piece)));
}

BOOST_FIXTURE_TEST_CASE(addresses_repeat_after_32_gibibytes, clean) {
  the_cards.write(slot(0), reinterpret_cast<void*>(at(0) + (std::uintptr_t{1} << 46)));
  BOOST_TEST(!the_cards.is_clean(at(page_size)));
  forget_all();
  note_store(reinterpret_cast<void**>(at(piece) + (std::uintptr_t{32} << 30)));
  BOOST_TEST(!the_cards.is_clean(at(piece)));
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(option)

BOOST_AUTO_TEST_CASE(is_read) {
  BOOST_TEST(!parse_options(nullptr).generational);
  BOOST_TEST(!parse_options("mode=mark-sweep").generational);
  BOOST_TEST(parse_options("mode=generational").generational);
  BOOST_TEST(parse_options("check,mode=generational,percent=50").generational);
  BOOST_TEST(parse_options("check,mode=generational,percent=50").percent == 50u);
  BOOST_TEST(!parse_options("mode=generational,mode=mark-sweep").generational);
}

BOOST_AUTO_TEST_CASE(bad_values_are_named_and_change_nothing) {
  for (const char* const text : {"mode=young", "mode=", "mode", "mode=generational2", "mode=1", "mode=Generational"}) {
    const auto end = death_of([&] { ::_exit(parse_options(text).generational ? 1 : 0); });
    BOOST_TEST(end.status == 0, text);
    BOOST_TEST(end.says("HEDDLE_GC: bad value \""), end.text);
    BOOST_TEST(end.says("for mode (mark-sweep|generational)"), end.text);
  }
  BOOST_TEST(death_of([] { parse_options("mode=young"); }).says("\"young\""));
  BOOST_TEST(death_of([] { parse_options("modes=generational"); }).says("unknown key \"modes\""));
}

BOOST_AUTO_TEST_SUITE_END()
