/** An address for a blob, given up when the blob changes or the component goes. */
export function objectUrl(blob: () => Blob | null): { readonly url: string | null } {
  let url = $state<string | null>(null);
  $effect(() => {
    const current = blob();
    const made = current && URL.createObjectURL(current);
    url = made;
    return () => {
      if (made) URL.revokeObjectURL(made);
    };
  });
  return {
    get url() {
      return url;
    },
  };
}
