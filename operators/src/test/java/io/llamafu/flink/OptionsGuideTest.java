package io.llamafu.flink;

import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.MemorySize;
import org.apache.flink.util.TimeUtils;
import org.junit.jupiter.api.Test;

import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

import static org.assertj.core.api.Assertions.assertThat;

/** The tables of {@code docs/configuration.md} have the options of the code, with their defaults. */
class OptionsGuideTest {
    private static final Pattern ROW =
            Pattern.compile("(?m)^\\| `([a-z.-]+)` \\| [^|]+ \\| ((?:[^|\\\\]|\\\\.)+?) \\|");
    private static final Pattern VALUE = Pattern.compile("`([^`]+)`");

    @Test
    void everyOptionHasARowWithItsDefault() throws Exception {
        Map<String, String> rows = new LinkedHashMap<>();
        Matcher row = ROW.matcher(Files.readString(Path.of("../docs/configuration.md")));
        while (row.find()) {
            rows.put(row.group(1), row.group(2));
        }

        assertThat(rows)
                .containsOnlyKeys(LlamafuConfigOptions.all().stream()
                        .map(ConfigOption::key)
                        .toList());
        for (ConfigOption<?> option : LlamafuConfigOptions.all()) {
            assertDefault(option, rows.get(option.key()));
        }
    }

    private static void assertDefault(ConfigOption<?> option, String documented) {
        Object value = option.defaultValue();
        Matcher written = VALUE.matcher(documented);
        if (!option.hasDefaultValue() || isEmpty(value)) {
            assertThat(documented).as(option.key()).startsWith("(");
        } else {
            assertThat(written.matches()).as("%s: %s", option.key(), documented).isTrue();
            assertThat(parsed(written.group(1), value)).as(option.key()).isEqualTo(value);
        }
    }

    private static boolean isEmpty(Object value) {
        return (value instanceof String text && text.isEmpty())
                || (value instanceof Collection<?> list && list.isEmpty())
                || (value instanceof Map<?, ?> map && map.isEmpty());
    }

    private static Object parsed(String written, Object value) {
        if (value instanceof Duration) {
            return TimeUtils.parseDuration(written);
        }
        if (value instanceof MemorySize) {
            return MemorySize.parse(written);
        }
        String expected =
                value instanceof Enum<?> constant ? constant.name().toLowerCase(Locale.ROOT) : value.toString();
        return written.equals(expected) ? value : written;
    }
}
