package io.llamafu.adapter;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectReader;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Optional;
import java.util.Set;

import static java.nio.charset.StandardCharsets.UTF_8;
import static java.util.Objects.requireNonNull;

/**
 * The content of {@code NAME.json} beside an adapter file: an object with any of the fields {@code description}, {@code
 * defaultScale} and {@code tags}, and no others.
 *
 * <pre>{@code
 * {"description": "Labels medical notes", "defaultScale": 0.8, "tags": ["domain", "en"]}
 * }</pre>
 *
 * @param description free text of at most 4,096 characters
 * @param defaultScale the scale of a stack that gives none; at most {@link AdapterStack#MOST_SCALE}
 * @param tags free text; at most 64 of at most 128 characters
 */
public record AdapterCard(String description, float defaultScale, List<String> tags) {
    /** The most bytes of a card. */
    public static final int MOST_BYTES = 64 * 1024;

    /** The card of an adapter without one. */
    public static final AdapterCard NONE = new AdapterCard("", 1, List.of());

    /** The most characters of a description. */
    static final int MOST_DESCRIPTION_CHARACTERS = 4096;

    private static final int MOST_TAGS = 64;
    private static final int MOST_TAG_CHARACTERS = 128;
    private static final Set<String> FIELDS = Set.of("description", "defaultScale", "tags");

    private static final ObjectReader JSON = JsonMapper.builder()
            .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
            .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
            .build()
            .reader();

    public AdapterCard {
        requireNonNull(description, "description is null");
        tags = List.copyOf(tags);
    }

    /**
     * Reads the file of a card.
     *
     * @param file empty if the adapter has none
     * @param adapter its name in messages
     * @throws LlamafuException like {@link #parse}
     */
    public static AdapterCard read(Optional<Path> file, String adapter) throws IOException {
        if (file.isEmpty()) {
            return NONE;
        }
        try (InputStream in = Files.newInputStream(file.get())) {
            return parse(in.readNBytes(MOST_BYTES + 1), adapter);
        }
    }

    /**
     * Parses a card.
     *
     * @param json the content of the file, in UTF-8
     * @param adapter its name in messages
     * @throws LlamafuException with {@link ErrorCode#ADAPTER_INVALID} if it is malformed, or a field is unknown, has
     *     another type or is too long
     */
    public static AdapterCard parse(byte[] json, String adapter) {
        if (json.length > MOST_BYTES) {
            throw invalid(adapter, "has more than %d bytes".formatted(MOST_BYTES), null);
        }
        return new Reading(adapter).card(tree(json, adapter));
    }

    /** The content of the file, which {@link #parse} reads. */
    byte[] json() {
        ObjectNode card = JsonNodeFactory.instance.objectNode();
        card.put("description", description).put("defaultScale", defaultScale);
        tags.forEach(card.putArray("tags")::add);
        return card.toString().getBytes(UTF_8);
    }

    private static JsonNode tree(byte[] json, String adapter) {
        try {
            return JSON.readTree(json);
        } catch (JsonProcessingException e) {
            throw invalid(adapter, "is no JSON: " + e.getOriginalMessage(), e);
        } catch (IOException e) {
            throw new UncheckedIOException("Reading from memory failed.", e);
        }
    }

    private static LlamafuException invalid(String adapter, String problem, Throwable cause) {
        return new LlamafuException(
                ErrorCode.ADAPTER_INVALID,
                "The file %s.json of the adapter '%s' %s; correct or remove it.".formatted(adapter, adapter, problem),
                cause);
    }

    /** Reads the fields of a card; errors name the field. */
    private record Reading(String adapter) {
        private AdapterCard card(JsonNode root) {
            require(root.isObject(), "must be an object with the fields description, defaultScale and tags");
            for (Iterator<String> names = root.fieldNames(); names.hasNext(); ) {
                String name = names.next();
                require(
                        FIELDS.contains(name),
                        "has the unknown field '%s'; the fields are description, defaultScale and tags"
                                .formatted(name.substring(0, Math.min(64, name.length()))));
            }
            return new AdapterCard(description(root), defaultScale(root), tags(root));
        }

        private String description(JsonNode root) {
            JsonNode value = root.get("description");
            return value == null ? NONE.description() : text(value, "description", MOST_DESCRIPTION_CHARACTERS);
        }

        private float defaultScale(JsonNode root) {
            JsonNode value = root.get("defaultScale");
            if (value == null) {
                return NONE.defaultScale();
            }
            require(
                    value.isNumber() && AdapterStack.isScale(value.floatValue()),
                    "has a defaultScale that is no number from -%s to %s"
                            .formatted(AdapterStack.MOST_SCALE, AdapterStack.MOST_SCALE));
            return value.floatValue();
        }

        private List<String> tags(JsonNode root) {
            JsonNode value = root.get("tags");
            if (value == null) {
                return NONE.tags();
            }
            require(
                    value.isArray() && value.size() <= MOST_TAGS,
                    "has tags that are no array of at most %d strings".formatted(MOST_TAGS));
            List<String> tags = new ArrayList<>();
            value.forEach(tag -> tags.add(text(tag, "tag", MOST_TAG_CHARACTERS)));
            return tags;
        }

        private String text(JsonNode value, String field, int mostCharacters) {
            require(
                    value.isTextual() && value.textValue().length() <= mostCharacters,
                    "has a %s that is no string of at most %d characters".formatted(field, mostCharacters));
            return value.textValue();
        }

        private void require(boolean condition, String problem) {
            if (!condition) {
                throw invalid(adapter, problem, null);
            }
        }
    }
}
