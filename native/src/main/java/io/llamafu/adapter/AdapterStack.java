package io.llamafu.adapter;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;

import java.io.Serializable;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;

/**
 * The adapters that answer a request together, each with its scale. Written {@code medical}, {@code medical:0.8} or
 * {@code medical:1.0+formal:0.7}; the empty string is the base model. It is serialized as that string, between
 * processes and in Flink's state.
 *
 * @param entries in the given order, without duplicate names
 */
public record AdapterStack(List<Entry> entries) implements Serializable {

    /**
     * The greatest absolute scale. At full strength an adapter is about as strong as the model itself; at many times
     * that the answers become meaningless, and soon the numbers overflow.
     */
    public static final float MOST_SCALE = 100;

    private static final AdapterStack BASE = new AdapterStack(List.of());

    /**
     * One adapter of a stack.
     *
     * @param name the catalog name, see {@link AdapterName}
     * @param scale a factor applied to the adapter's own alpha / rank: 0 is no effect, 1 is as trained; from -{@link
     *     #MOST_SCALE} to {@link #MOST_SCALE}. Empty is the adapter's default, see {@link AdapterCard#defaultScale},
     *     which is looked up when a request is answered
     */
    public record Entry(String name, Optional<Float> scale) {
        public Entry {
            AdapterName.check(name);
            if (scale.isPresent() && !isScale(scale.get())) {
                throw invalid("The scale of adapter '%s' is %s, but must be a number from -%s to %s."
                        .formatted(name, scale.get(), MOST_SCALE, MOST_SCALE));
            }
        }

        /** An adapter at its default scale. */
        public Entry(String name) {
            this(name, Optional.empty());
        }

        /** An adapter at a scale. */
        public Entry(String name, float scale) {
            this(name, Optional.of(scale));
        }

        /** {@code name} at the default scale, {@code name:scale} otherwise. */
        @Override
        public String toString() {
            return scale.map(factor -> name + ":" + factor).orElse(name);
        }
    }

    /** The serialized form, which is independent of the fields of the class. */
    private record Written(String text) implements Serializable {
        private Object readResolve() {
            return parse(text);
        }
    }

    public AdapterStack {
        entries = List.copyOf(entries);
        Set<String> names = new HashSet<>();
        for (Entry entry : entries) {
            if (!names.add(entry.name())) {
                throw invalid("The stack names adapter '%s' twice; name it once, with the sum of the scales."
                        .formatted(entry.name()));
            }
        }
    }

    /** Whether the number is finite and its absolute value at most {@link #MOST_SCALE}. */
    static boolean isScale(float number) {
        return Math.abs(number) <= MOST_SCALE;
    }

    /** The base model without adapters. */
    public static AdapterStack base() {
        return BASE;
    }

    /** One adapter at its default scale. */
    public static AdapterStack of(String name) {
        return new AdapterStack(List.of(new Entry(name)));
    }

    /** One adapter at a scale. */
    public static AdapterStack of(String name, float scale) {
        return new AdapterStack(List.of(new Entry(name, scale)));
    }

    /**
     * Parses the written form. White space around names and scales is ignored.
     *
     * @throws LlamafuException with {@link ErrorCode#INVALID_REQUEST} if a name or a scale is malformed
     */
    public static AdapterStack parse(String text) {
        if (text.isBlank()) {
            return BASE;
        }
        List<Entry> entries = new ArrayList<>();
        for (String part : text.split("\\+", -1)) {
            entries.add(parseEntry(part.strip(), text));
        }
        return new AdapterStack(entries);
    }

    private static Entry parseEntry(String part, String text) {
        int colon = part.indexOf(':');
        if (colon < 0) {
            return new Entry(part);
        }
        String scale = part.substring(colon + 1).strip();
        try {
            return new Entry(part.substring(0, colon).strip(), Float.parseFloat(scale));
        } catch (NumberFormatException e) {
            throw new LlamafuException(
                    ErrorCode.INVALID_REQUEST,
                    "The stack '%s' has the scale '%s', which is no number; write it like 'medical:0.8+formal'."
                            .formatted(text, scale),
                    e);
        }
    }

    private static LlamafuException invalid(String message) {
        return new LlamafuException(ErrorCode.INVALID_REQUEST, message);
    }

    /**
     * This stack with other scales for some of its adapters.
     *
     * @param scales by name; other adapters keep their scale
     * @throws LlamafuException with {@link ErrorCode#INVALID_REQUEST} if it names an adapter that is not in the stack,
     *     or a scale exceeds {@link #MOST_SCALE}
     */
    public AdapterStack withScales(Map<String, Float> scales) {
        Map<String, Float> left = new HashMap<>(scales);
        List<Entry> scaled = new ArrayList<>();
        for (Entry entry : entries) {
            Float scale = left.remove(entry.name());
            scaled.add(scale == null ? entry : new Entry(entry.name(), scale));
        }
        if (!left.isEmpty()) {
            throw invalid(
                    "The scale of adapter '%s' is set, but the stack that answers is '%s'; name its adapters only."
                            .formatted(String.join("', '", new TreeSet<>(left.keySet())), this));
        }
        return new AdapterStack(scaled);
    }

    public boolean isBase() {
        return entries.isEmpty();
    }

    private Object writeReplace() {
        return new Written(toString());
    }

    /** The written form, from which {@link #parse} returns an equal stack. */
    @Override
    public String toString() {
        return entries.stream().map(Entry::toString).collect(Collectors.joining("+"));
    }
}
