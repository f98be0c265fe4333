package io.llamafu.flink.routing;

import javax.annotation.Nullable;
import java.util.Comparator;
import java.util.HashMap;
import java.util.Map;
import java.util.NavigableMap;
import java.util.Objects;
import java.util.Optional;
import java.util.TreeMap;
import java.util.function.Function;

/**
 * Finds the rule for a key among many. Rules are indexed by the prefix or suffix of their keys: a key is compared only
 * with rules that share its own, in order of precedence, up to the first match.
 */
final class RuleIndex {

    /** The order of precedence: the lowest position, then the first by name. */
    private record Place(int position, String name, String pattern) implements Comparable<Place> {
        private static final Comparator<Place> ORDER = Comparator.comparingInt(Place::position)
                .thenComparing(Place::name)
                .thenComparing(Place::pattern);

        @Override
        public int compareTo(Place other) {
            return ORDER.compare(this, other);
        }
    }

    /** A rule, with a place that at least one of its versions has. */
    private static final class Candidate {
        private final KeyPattern pattern;
        private final Timeline timeline;
        private final Place place;
        private final boolean isDefault;
        private int versions;

        private Candidate(RuleVersion version, Place place, Timeline timeline) {
            this.pattern = KeyPattern.of(place.pattern());
            this.timeline = timeline;
            this.place = place;
            this.isDefault = version.getKeyPattern() == null;
        }

        @Nullable
        private RuleVersion at(long time) {
            RuleVersion version = timeline.at(time).orElse(null);
            boolean isHere = version != null
                    && !RuleBook.isRemoval(version)
                    && version.getPosition() == place.position()
                    && Objects.equals(version.getKeyPattern(), isDefault ? null : place.pattern());
            return isHere ? version : null;
        }
    }

    /** Candidates by the prefix or suffix that all their keys share. */
    private static final class Shelf {
        private final Map<String, NavigableMap<Place, Candidate>> candidates = new HashMap<>();
        /** The number of entries by the length of their prefix or suffix. */
        private final NavigableMap<Integer, Integer> lengths = new TreeMap<>();

        private NavigableMap<Place, Candidate> of(String characters) {
            return candidates.computeIfAbsent(characters, added -> {
                lengths.merge(added.length(), 1, Integer::sum);
                return new TreeMap<>();
            });
        }

        private void removeIfEmpty(String characters) {
            if (candidates.get(characters).isEmpty()) {
                candidates.remove(characters);
                lengths.computeIfPresent(characters.length(), (length, count) -> count == 1 ? null : count - 1);
            }
        }
    }

    private record Found(Place place, RuleVersion version) {}

    private final Shelf beginnings = new Shelf();
    private final Shelf endings = new Shelf();
    private final Shelf defaults = new Shelf();

    void add(String name, RuleVersion version, Timeline timeline) {
        if (RuleBook.isRemoval(version)) {
            return;
        }
        Place place = place(name, version);
        Candidate added = new Candidate(version, place, timeline);
        shelf(added).of(characters(added)).computeIfAbsent(place, absent -> added).versions++;
    }

    void remove(String name, RuleVersion version, Timeline timeline) {
        if (RuleBook.isRemoval(version)) {
            return;
        }
        Place place = place(name, version);
        Candidate sample = new Candidate(version, place, timeline);
        NavigableMap<Place, Candidate> candidates = shelf(sample).of(characters(sample));
        Candidate candidate = candidates.get(place);
        candidate.versions--;
        if (candidate.versions == 0) {
            candidates.remove(place);
        }
        shelf(sample).removeIfEmpty(characters(sample));
    }

    private static Place place(String name, RuleVersion version) {
        return new Place(version.getPosition(), name, version.getKeyPattern() == null ? "" : version.getKeyPattern());
    }

    private Shelf shelf(Candidate candidate) {
        if (candidate.isDefault) {
            return defaults;
        }
        return candidate.pattern.beginning().isEmpty() ? endings : beginnings;
    }

    private static String characters(Candidate candidate) {
        String beginning = candidate.pattern.beginning();
        return beginning.isEmpty() ? candidate.pattern.ending() : beginning;
    }

    /** Rules with a pattern precede the default. */
    Optional<RuleVersion> find(String key, long time) {
        Found found = first(beginnings, key, length -> key.substring(0, length), time, null);
        found = first(endings, key, length -> key.substring(key.length() - length), time, found);
        if (found == null) {
            found = first(defaults, key, length -> "", time, null);
        }
        return Optional.ofNullable(found).map(Found::version);
    }

    @Nullable
    private static Found first(
            Shelf shelf, String key, Function<Integer, String> characters, long time, @Nullable Found before) {
        Found found = before;
        for (int length : shelf.lengths.headMap(key.length(), true).keySet()) {
            NavigableMap<Place, Candidate> candidates = shelf.candidates.get(characters.apply(length));
            if (candidates == null) {
                continue;
            }
            for (Candidate candidate : candidates.values()) {
                if (found != null && found.place().compareTo(candidate.place) < 0) {
                    break;
                }
                RuleVersion version = candidate.at(time);
                if (version != null && (candidate.isDefault || candidate.pattern.matches(key))) {
                    found = new Found(candidate.place, version);
                    break;
                }
            }
        }
        return found;
    }
}
