package io.llamafu.peft;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import io.llamafu.LlamafuException;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;

/**
 * Parses the header of a safetensors file: a JSON object of tensors by name, each with {@code dtype}, {@code shape} and
 * {@code data_offsets}, and of free texts under {@code __metadata__}. The tensors must cover the data without gap or
 * overlap.
 *
 * <p>The README of safetensors describes the format. This parser is stricter: no empty tensors, and the limits below.
 */
final class SafetensorsHeader {
    private static final String METADATA = "__metadata__";
    private static final int MAX_TENSORS = 16_384;
    private static final int MAX_METADATA = 4_096;
    private static final int MAX_DIMENSIONS = 8;

    private final long dataOffset;
    private final long dataBytes;
    private final Function<String, LlamafuException> invalid;

    /**
     * Prepares a parser.
     *
     * @param dataOffset start of the data in the file
     * @param dataBytes from there to the end of the file
     * @param invalid creates the error for a problem that completes "The adapter 'x' ..."
     */
    SafetensorsHeader(long dataOffset, long dataBytes, Function<String, LlamafuException> invalid) {
        this.dataOffset = dataOffset;
        this.dataBytes = dataBytes;
        this.invalid = invalid;
    }

    /** The tensors by name, in the order of their data. */
    Map<String, SafetensorsTensor> parse(byte[] json) {
        if (json.length == 0 || json[0] != '{') {
            throw invalid.apply("has a header that does not begin with '{'; it is damaged.");
        }
        try (JsonParser parser = Json.parser(json)) {
            List<Entry> entries = readEntries(parser);
            if (parser.nextToken() != null) {
                throw invalid.apply("has more than one JSON object in its header; it is damaged.");
            }
            return place(entries);
        } catch (IOException e) {
            throw invalid.apply("has a header that is malformed JSON: %s.".formatted(Json.problem(e)));
        }
    }

    /** A tensor as the header describes it; its position is not yet checked against the others. */
    private record Entry(String name, SafetensorsType type, List<Long> shape, long elements, long begin, long end) {}

    private List<Entry> readEntries(JsonParser parser) throws IOException {
        List<Entry> entries = new ArrayList<>();
        parser.nextToken();
        for (String name = parser.nextFieldName(); name != null; name = parser.nextFieldName()) {
            if (name.equals(METADATA)) {
                skipMetadata(parser);
            } else if (entries.size() < MAX_TENSORS) {
                entries.add(readEntry(parser, name));
            } else {
                throw damaged("has more than %d tensors".formatted(MAX_TENSORS));
            }
        }
        return entries;
    }

    /** Texts only, and few enough that checking their keys takes little memory. */
    private void skipMetadata(JsonParser parser) throws IOException {
        boolean isTexts = parser.nextToken() == JsonToken.START_OBJECT;
        int count = 0;
        while (isTexts && parser.nextFieldName() != null) {
            isTexts = parser.nextToken() == JsonToken.VALUE_STRING && ++count <= MAX_METADATA;
        }
        if (!isTexts) {
            throw damaged("has '%s', which is no object of up to %d texts".formatted(METADATA, MAX_METADATA));
        }
    }

    private Entry readEntry(JsonParser parser, String name) throws IOException {
        if (parser.nextToken() != JsonToken.START_OBJECT) {
            throw damaged("has tensor '%s' without a description".formatted(name));
        }
        String type = null;
        List<Long> shape = null;
        List<Long> offsets = null;
        for (String field = parser.nextFieldName(); field != null; field = parser.nextFieldName()) {
            switch (field) {
                case "dtype" -> type = parser.nextTextValue();
                case "shape" -> shape = readIntegers(parser, name, MAX_DIMENSIONS);
                case "data_offsets" -> offsets = readIntegers(parser, name, 2);
                default -> throw damaged("has tensor '%s' with the unknown field '%s'".formatted(name, field));
            }
        }
        if (type == null || shape == null || offsets == null || offsets.size() != 2) {
            throw damaged("has tensor '%s' without dtype, shape or data_offsets".formatted(name));
        }
        return entry(name, type, shape, offsets.get(0), offsets.get(1));
    }

    private List<Long> readIntegers(JsonParser parser, String name, int most) throws IOException {
        if (parser.nextToken() != JsonToken.START_ARRAY) {
            throw damaged("has tensor '%s' with a field that is no array".formatted(name));
        }
        List<Long> integers = new ArrayList<>();
        while (parser.nextToken() != JsonToken.END_ARRAY) {
            if (parser.currentToken() != JsonToken.VALUE_NUMBER_INT || integers.size() == most) {
                throw damaged("has tensor '%s' with a shape or data_offsets that are not up to %d integers"
                        .formatted(name, most));
            }
            integers.add(parser.getLongValue());
        }
        return integers;
    }

    private Entry entry(String name, String typeName, List<Long> shape, long begin, long end) {
        SafetensorsType type = SafetensorsType.ofName(typeName)
                .orElseThrow(() -> invalid.apply("has tensor '%s' in %s, but only F32, F16 and BF16 are read."
                        .formatted(name, typeName.substring(0, Math.min(16, typeName.length())))));
        if (shape.isEmpty() || shape.stream().anyMatch(length -> length <= 0)) {
            throw damaged(
                    "has tensor '%s' with the shape %s, but each length must be 1 or more".formatted(name, shape));
        }
        if (begin < 0 || begin > end || end > dataBytes) {
            throw damaged("has tensor '%s' at bytes %d to %d of its data, which has %d"
                    .formatted(name, begin, end, dataBytes));
        }
        long elements = (end - begin) / type.bytes();
        if (product(shape) != elements || elements * type.bytes() != end - begin) {
            throw damaged("has tensor '%s' with %d bytes, which is not the size of %s %s"
                    .formatted(name, end - begin, type, shape));
        }
        return new Entry(name, type, shape, elements, begin, end);
    }

    /** -1 if it overflows. */
    private static long product(List<Long> shape) {
        long product = 1;
        for (long length : shape) {
            if (Math.multiplyHigh(product, length) != 0 || product * length < 0) {
                return -1;
            }
            product *= length;
        }
        return product;
    }

    private Map<String, SafetensorsTensor> place(List<Entry> entries) {
        entries.sort(Comparator.comparingLong(Entry::begin));
        Map<String, SafetensorsTensor> tensors = new LinkedHashMap<>();
        long next = 0;
        for (Entry entry : entries) {
            if (entry.begin() != next) {
                throw damaged("has tensor '%s' at byte %d of its data, but the tensor before it ends at %d"
                        .formatted(entry.name(), entry.begin(), next));
            }
            next = entry.end();
            tensors.put(
                    entry.name(),
                    new SafetensorsTensor(
                            entry.name(), entry.type(), entry.shape(), dataOffset + entry.begin(), entry.elements()));
        }
        if (next != dataBytes) {
            throw damaged("has %d bytes of data, but its tensors end at %d".formatted(dataBytes, next));
        }
        return tensors;
    }

    private LlamafuException damaged(String problem) {
        return invalid.apply(problem + "; it is damaged.");
    }
}
