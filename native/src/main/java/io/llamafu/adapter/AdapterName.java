package io.llamafu.adapter;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;

import java.util.regex.Pattern;

/** The rule for adapter names, which keeps them apart from paths: {@code [A-Za-z0-9][A-Za-z0-9._-]{0,127}}. */
public final class AdapterName {
    private static final Pattern VALID = Pattern.compile("[A-Za-z0-9][A-Za-z0-9._-]{0,127}");

    private AdapterName() {}

    public static boolean isValid(String name) {
        return VALID.matcher(name).matches();
    }

    /**
     * Checks a name.
     *
     * @throws LlamafuException with {@link ErrorCode#INVALID_REQUEST} if it breaks the rule
     */
    public static void check(String name) {
        if (!isValid(name)) {
            throw new LlamafuException(
                    ErrorCode.INVALID_REQUEST,
                    "'%s' is no adapter name: 1 to 128 letters, digits, '.', '_' or '-', beginning with a letter or digit."
                            .formatted(name));
        }
    }
}
