package io.llamafu.flink.completion;

import org.apache.flink.streaming.api.watermark.Watermark;

import javax.annotation.Nullable;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.Iterator;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * The records in flight in the order of arrival, with the watermarks that wait for the records before them. There is at
 * most one watermark between two records, so never more watermarks than records. Not thread-safe.
 */
final class InFlight<X> {
    /** Records, and the watermark after them. Only the last section has none. */
    private static final class Section<X> {
        private final Set<X> records = new LinkedHashSet<>();

        @Nullable
        private Watermark end;
    }

    private final Deque<Section<X>> sections = new ArrayDeque<>();
    private int size;

    InFlight() {
        sections.add(new Section<>());
    }

    /** The number of records. */
    int size() {
        return size;
    }

    /** Adds a record and returns its place. */
    Place<X> add(X record) {
        Section<X> section = sections.getLast();
        section.records.add(record);
        size++;
        return new Place<>(section);
    }

    /** The place of a record. */
    static final class Place<X> {
        private final Section<X> section;

        private Place(Section<X> section) {
            this.section = section;
        }
    }

    void remove(Place<X> place, X record) {
        if (place.section.records.remove(record)) {
            size--;
        }
    }

    /** A newer watermark replaces one that no record separates from it. */
    void add(Watermark watermark) {
        Section<X> last = sections.getLast();
        if (last.records.isEmpty() && sections.size() > 1) {
            sections.removeLast();
            sections.getLast().end = watermark;
        } else {
            last.end = watermark;
        }
        sections.add(new Section<>());
    }

    /** The oldest record. */
    Optional<X> first() {
        Iterator<X> records = sections.getFirst().records.iterator();
        return records.hasNext() ? Optional.of(records.next()) : Optional.empty();
    }

    /** Removes the watermark that has no more records before it. */
    Optional<Watermark> pollWatermark() {
        Watermark passed = null;
        while (sections.getFirst().records.isEmpty() && sections.getFirst().end != null) {
            passed = sections.removeFirst().end;
        }
        return Optional.ofNullable(passed);
    }

    List<X> records() {
        List<X> records = new ArrayList<>(size);
        sections.forEach(section -> records.addAll(section.records));
        return records;
    }
}
