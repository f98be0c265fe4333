package io.llamafu.llamacpp;

/** What {@code llama_decode} returns. */
enum DecodeStatus {
    DONE,
    NO_FREE_CELLS,
    ABORTED,
    FAILED;

    static DecodeStatus of(int code) {
        return switch (code) {
            case 0 -> DONE;
            case 1 -> NO_FREE_CELLS;
            case 2 -> ABORTED;
            default -> FAILED;
        };
    }
}
