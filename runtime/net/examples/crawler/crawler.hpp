// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <cstddef>
#include <exception>
#include <functional>
#include <map>
#include <mutex>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>

#include "heddle/fiber.hpp"
#include "heddle/mutex.hpp"
#include "heddle/semaphore.hpp"
#include "heddle/wait_group.hpp"
#include "page.hpp"

namespace examples {

/// Visits all pages of a site that links lead to, each once, and reports the links that are dead.
///
///     const auto report = examples::crawler("127.0.0.1:8000", {.most_at_once = 16}).crawl("/", stop);
///     for (const auto& [path, dead] : report.dead) std::printf("%s: %s, from %s\n", ...);
///
/// A fiber for each page that is known and not yet visited; a semaphore lets so many of them fetch at a time. A wait
/// group counts them, since a page's fiber begins those of its links: it is zero when nothing is left.
class crawler {
 public:
  struct options {
    std::size_t most_at_once = 16;                                ///< connections
    std::size_t most_pages = 10'000;                              ///< links that lead on are left then
    std::chrono::nanoseconds timeout = std::chrono::seconds(10);  ///< for one page
  };
  struct dead_link {
    std::string why;   ///< "404", or what has gone wrong
    std::string from;  ///< the page on which it stood first
  };
  struct report {
    std::map<std::string, std::size_t> pages;  ///< their sizes in bytes
    std::map<std::string, dead_link> dead;
    bool complete = true;  ///< false: a stop was requested, or there were more pages than allowed
  };

  explicit crawler(std::string server) : crawler(std::move(server), options()) {}
  crawler(std::string server, const options& o)
      : server_(std::move(server)), options_(o), turns_(static_cast<std::ptrdiff_t>(o.most_at_once)) {}

  /// From fibers; once for an object. After a stop no page is begun.
  report crawl(const std::string& start, const std::stop_token& stop = {}) {
    visit_later(start, "the start", stop);
    open_.wait();
    return std::move(report_);
  }

 private:
  /// Starts the fiber of a page that nobody knew.
  void visit_later(const std::string& path, const std::string& from, const std::stop_token& stop) {
    {
      const std::lock_guard hold(lock_);
      if (known_.contains(path)) return;
      if (known_.size() == options_.most_pages) {
        report_.complete = false;
        return;
      }
      known_.emplace(path, from);
    }
    open_.add();
    heddle::go([this, path, stop] {
      visit(path, stop);
      open_.done();
    });
  }

  void visit(const std::string& path, const std::stop_token& stop) {
    try {
      const page p = fetch(path, stop);
      if (p.status != 200) return dead(path, std::to_string(p.status));
      {
        const std::lock_guard hold(lock_);
        report_.pages.emplace(path, p.body.size());
      }
      for (const std::string_view link : links_of(p.body))
        if (const auto to = resolve_link(path, link)) visit_later(*to, path, stop);
    } catch (const std::exception& e) {
      if (stop.stop_requested()) {
        const std::lock_guard hold(lock_);
        report_.complete = false;
      } else {
        dead(path, e.what());
      }
    }
  }

  page fetch(const std::string& path, const std::stop_token& stop) {
    if (!turns_.acquire(stop)) throw std::runtime_error("stopped");
    const struct turn {
      heddle::counting_semaphore<>& of;
      ~turn() { of.release(); }
    } mine{turns_};
    return fetch_page(server_, path, {std::chrono::steady_clock::now() + options_.timeout, stop});
  }

  void dead(const std::string& path, std::string why) {
    const std::lock_guard hold(lock_);
    report_.dead.emplace(path, dead_link{std::move(why), known_.at(path)});
  }

  const std::string server_;
  const options options_;
  heddle::counting_semaphore<> turns_;  // to fetch a page
  heddle::wait_group open_;             // pages that are known and not visited
  heddle::mutex lock_;
  std::map<std::string, std::string> known_;  // and the page that names each first
  report report_;
};

}  // namespace examples
