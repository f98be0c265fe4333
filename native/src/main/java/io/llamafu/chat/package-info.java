/** Chat templates: what turns a conversation into the prompt that an instruction-tuned model was trained on. */
package io.llamafu.chat;
