(* Counts the words of standard input, or names what is in the folder that is given. *)

module Words = Map.Make (String)

let rec lines found =
  match input_line stdin with
  | line -> lines (line :: found)
  | exception End_of_file -> found

let count words =
  let one_more = function None -> Some 1 | Some n -> Some (n + 1) in
  List.fold_left (fun seen word -> Words.update word one_more seen) Words.empty words

let () =
  match Sys.argv with
  | [| _; folder |] -> (
      match Sys.readdir folder with
      | names -> Array.iter print_endline names
      | exception Sys_error why ->
          prerr_endline ("words: " ^ why);
          exit 1)
  | _ ->
      let words = List.concat_map (String.split_on_char ' ') (lines []) in
      Words.iter (fun word n -> Printf.printf "%d %s\n" n word) (count (List.filter (( <> ) "") words))
