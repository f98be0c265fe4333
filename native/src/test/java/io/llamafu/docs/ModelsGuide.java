package io.llamafu.docs;

import io.llamafu.testing.ArchitectureModel;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

import static org.assertj.core.api.Assertions.assertThat;

/** The tables of {@code docs/models.md}, with which tests compare what they have seen. */
public final class ModelsGuide {
    private static final Path PAGE = Path.of("../docs/models.md");
    private static final String FAMILY = "family";

    private ModelsGuide() {}

    /** The columns that are compared; the others are prose. */
    public enum Column {
        ARCHITECTURE("`general.architecture`"),
        LOADS("loads"),
        MIXED_BATCH("mixed batch"),
        NEW_VERSION("new version"),
        PREFIX_CACHE("prefix cache"),
        MEMORY("memory estimate"),
        TARGETS("adapters change"),
        REFUSED("adapters are refused for");

        private final String title;

        Column(String title) {
            this.title = title;
        }
    }

    public static void assertSays(ArchitectureModel model, Column column, String seen) {
        assertThat(rows().get(familyOf(model)))
                .as("%s of %s in %s", column.title, familyOf(model), PAGE)
                .isNotNull()
                .extractingByKey(column.title)
                .isEqualTo(seen);
    }

    /** As it is written in the tables. */
    static String familyOf(ArchitectureModel model) {
        return model.name().toLowerCase(Locale.ROOT).replace('_', '-');
    }

    /** The cells of all tables by family, then by title. */
    static Map<String, Map<String, String>> rows() {
        Map<String, Map<String, String>> rows = new LinkedHashMap<>();
        List<String> titles = List.of();
        for (String line : lines()) {
            if (!line.startsWith("|")) {
                continue;
            }
            List<String> cells = Arrays.stream(
                            line.substring(1, line.lastIndexOf('|')).split("\\|", -1))
                    .map(String::strip)
                    .toList();
            if (cells.get(0).equals(FAMILY)) {
                titles = cells;
            } else if (!cells.get(0).startsWith("-")) {
                Map<String, String> row = rows.computeIfAbsent(cells.get(0), family -> new HashMap<>());
                for (int index = 1; index < cells.size(); index++) {
                    row.put(titles.get(index), cells.get(index));
                }
            }
        }
        return rows;
    }

    private static List<String> lines() {
        try {
            return Files.readAllLines(PAGE);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
